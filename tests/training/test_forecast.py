"""Memory foretold beside memory measured, and how it moves with what it depends on."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch

from d2vlm_pipeline.model import ModelConfig, build_model
from d2vlm_pipeline.model.checkpointing import checkpointed
from d2vlm_pipeline.model.config import BackboneConfig, CausalLMConfig
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Prefix, Response, pack
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.activations import (
    Activations,
    PassShape,
    QFormer,
    activations,
    qformer_bytes,
)
from d2vlm_pipeline.training.blueprint import draw_blueprint
from d2vlm_pipeline.training.config import FrozenTuning, FullTuning, LoraTuning
from d2vlm_pipeline.training.forecast import (
    AUTOCAST,
    FLOAT32,
    Memory,
    Parameters,
    Precision,
    forecast,
    partitioned,
    step_bytes,
    strategies,
)
from d2vlm_pipeline.training.precision import Compute
from d2vlm_pipeline.training.sharding import ShardingConfig, Spread
from d2vlm_pipeline.training.steps import fpo_step, sft_step
from d2vlm_pipeline.training.tuning import tuned
from model.pretrained import write_pretrained
from training.live_bytes import LiveBytes

TOKENS, CHANNELS, CELL = 4, 24, 16
ASKED, ANSWERED = 8, 32
WITHIN = 0.15


FULL = FullTuning()


@dataclass(frozen=True)
class Case:
    tuning: FullTuning | LoraTuning | FrozenTuning = FULL
    clips: int = 1
    frames: int = 64
    questions: int = 1
    sides: int = 1
    layers: int = 6
    vocabulary: int = 800
    is_checkpointed: bool = False
    is_half: bool = False


LORA = LoraTuning(rank=8, dropout=0.0, embeddings="none")
CASES = {
    "full": Case(),
    "full, many words": Case(vocabulary=5000),
    "full, long": Case(frames=256),
    "full, several clips and questions": Case(clips=2, questions=4),
    "full, deep": Case(layers=12),
    "pairs": Case(sides=2, questions=2),
    "adapters": Case(LORA),
    "adapters, long": Case(LORA, frames=256),
    "adapters everywhere": Case(LoraTuning(rank=8, dropout=0.1, targets="linear", embeddings="new_tokens")),
    "adapters and embeddings": Case(LoraTuning(rank=8, dropout=0.0, embeddings="all")),
    "frozen": Case(FrozenTuning(embeddings="none")),
    "checkpointed": Case(frames=256, layers=12, is_checkpointed=True),
    "checkpointed, questions": Case(LORA, frames=128, questions=6, layers=12, is_checkpointed=True),
    "bfloat16": Case(frames=256, is_half=True),
    "bfloat16, adapters": Case(LORA, frames=256, layers=12, is_half=True),
}


def model_config(backbone: BackboneConfig | CausalLMConfig) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "backbone": backbone,
            "projector": {"kind": "pool", "cell_size": CELL, "dropout": 0.0},
            "frame_tokens": TOKENS,
            "frame_channels": CHANNELS,
            "semantic_layer": 2,
            "head_size": 64,
        }
    )


def llama(case: Case) -> ModelConfig:
    return model_config(
        BackboneConfig(
            hidden_size=128,
            layers=case.layers,
            heads=4,
            kv_heads=2,
            intermediate_size=352,
            vocab_size=case.vocabulary,
        )
    )


def batch_of(case: Case) -> PackedBatch:
    response = Response(
        list(range(1, ANSWERED + 1)),
        [True] * ANSWERED,
        [0, 3],
        [(0, 1)] * 2,
        torch.zeros(2, case.frames),
        [(0, 1)],
    )
    branch = Branch(list(range(1, ASKED + 1)), [], [], [response] * case.sides)
    prefix = Prefix([1] * ASKED + [-1] * case.frames)
    features = torch.zeros(case.frames, TOKENS, CHANNELS)
    return pack([Clip(prefix, features, [branch] * case.questions)] * case.clips)


def shape_of(case: Case) -> PassShape:
    return PassShape(
        clips=case.clips,
        prefix=ASKED + case.frames,
        questions=case.questions,
        branch=ASKED + ANSWERED * case.sides,
        supervised=ANSWERED * case.sides,
        frame_bytes=case.frames * 4 * TOKENS * (CHANNELS + 3 * CELL),
        is_checkpointed=case.is_checkpointed,
    )


def measured(config: ModelConfig, case: Case, backbone: torch.nn.Module | None = None) -> int:
    """Peak bytes of a step beside weights."""
    model = build_model(config, 0, backbone)
    compute = Compute(torch.device("cpu"), torch.bfloat16 if case.is_half else torch.float32)
    step = partial(sft_step, model, config=SFTConfig())
    if case.sides == 2:
        step = partial(fpo_step, model, sft=SFTConfig(), fpo=FPOConfig())
    batch = batch_of(case)
    layers = model.layers if case.is_checkpointed else []
    with tuned(model, case.tuning, [0, 1], 0), compute.holding(model), checkpointed(layers):
        model.train()
        with LiveBytes() as live:
            result: StepResult = compute.running(step)(batch)
            result.loss.backward()
    return live.peak + batch.features_BTNC.nbytes


def foretold(config: ModelConfig, case: Case) -> float:
    drawn = draw_blueprint(config, case.tuning)
    # Where this runs, what is dropped is kept as numbers, not as one byte each.
    decoder = replace(drawn.decoder, adapter_mask=4 * drawn.decoder.adapter_mask)
    precision = AUTOCAST if case.is_half else FLOAT32
    kept = activations(decoder, shape_of(case), precision.compute)
    gradient = precision.gradient * drawn.parameters.trained
    copies = 2 * drawn.parameters.trained if case.is_half else 0  # held beside the weights by autocast
    return step_bytes(kept, gradient, 0.0) + copies


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:.*precision bfloat16")
def test_a_step_takes_what_was_foretold(name: str) -> None:
    case = CASES[name]
    config = llama(case)
    assert foretold(config, case) == pytest.approx(measured(config, case), rel=WITHIN)


@pytest.mark.parametrize("architecture", ["qwen3", "phi3", "gemma3_text"])
def test_it_is_foretold_for_other_architectures(architecture: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    path = str(write_pretrained(tmp_path, architecture))
    config, case = model_config(CausalLMConfig(path=path)), Case(frames=256)
    real = measured(config, case, AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32))
    assert foretold(config, case) == pytest.approx(real, rel=0.2)


@pytest.mark.parametrize(("frames", "question"), [(16, 8), (16, 48)])
def test_a_projector_that_reads_the_question_keeps_what_was_foretold(frames: int, question: int) -> None:
    from d2vlm_pipeline.model.config import QFormerConfig
    from d2vlm_pipeline.model.packing import pad_questions
    from d2vlm_pipeline.model.qformer import QFormerProjector

    config = QFormerConfig(layers=4, width=64, heads=4, inner=256, queries=8, dropout=0.0)
    projector = QFormerProjector(config, channels=32, hidden_size=64, words=100)
    asked = pad_questions([list(range(question))])
    with LiveBytes() as live:
        kept = projector(torch.zeros(1, frames, 10, 32), asked)
    sizes = QFormer(4, 64, 256, 2, queries=8, question=question, tokens=10, channels=32)
    # Nothing is dropped here, so there are no masks of what was.
    masks = 2 * 4 * (8 + question) * 64 + 2 * 8 * 64
    assert frames * (qformer_bytes(sizes, 4) - masks) == pytest.approx(live.now, rel=0.2)
    assert kept.shape == (1, frames, 64)


KEPT = Activations(prefix=3_000_000_000, branches=1_000_000_000, logits=500_000_000)
PARAMETERS = Parameters(frozen=3_000_000_000, trained=1_000_000_000, largest=100_000_000)


# In half precision, with a float32 copy among the optimiser's states: K = 12 of the ZeRO paper.
BFLOAT16 = Precision(frozen=2, trained=2, gradient=2, optimiser=12, compute=2)


def memory(stage: int = 0, gpus: int = 4, offload: str = "none", accumulation: int = 8) -> Memory:
    sharding = ShardingConfig.model_validate({"zero_stage": stage, "offload": offload})
    return forecast(PARAMETERS, KEPT, Spread(gpus, sharding), BFLOAT16, accumulation)


def test_states_are_those_of_the_zero_paper() -> None:
    """7.5 B parameters, all trained, 64 GPUs: 120, 31.4, 16.6 and 1.9 GB (arXiv 1910.02054, figure 1)."""
    parameters = Parameters(frozen=0, trained=7_500_000_000)
    found = []
    for stage in (0, 1, 2, 3):
        spread = Spread(64, ShardingConfig.model_validate({"zero_stage": stage}))
        one = forecast(parameters, KEPT, spread, BFLOAT16, accumulation=2)
        found.append((one.weights + one.gradients + one.optimiser) / 1e9)
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


def test_every_stage_and_offloading_take_less() -> None:
    fixed = [memory(stage) for stage in (0, 1, 2, 3)]
    states = [one.weights + one.gradients + one.optimiser for one in fixed]
    assert states == sorted(states, reverse=True) and len(set(states)) == 4
    assert memory(2, offload="optimiser").total < memory(2).total
    assert memory(3, offload="weights").total < memory(3, offload="optimiser").total
    assert memory(2, gpus=8).total < memory(2, gpus=4).total


def test_no_stage_partitions_gradients_that_still_wait_for_the_prefix() -> None:
    parameters = replace(PARAMETERS, trained=8_000_000_000)
    spread = Spread(8, ShardingConfig(zero_stage=2))
    one = forecast(parameters, KEPT, spread, BFLOAT16, accumulation=1)
    assert one.step == KEPT.prefix + 2 * parameters.trained
    assert one.gradients == 2 * parameters.trained / 8


def test_one_pass_per_step_keeps_no_gradients_beside_those_it_makes() -> None:
    assert memory(0, gpus=1, accumulation=1).gradients == 0 < memory(0, gpus=1, accumulation=2).gradients


def test_gradients_of_ddp_lie_in_its_buckets_at_all_times() -> None:
    once, twice = (memory(0, accumulation=passes) for passes in (1, 2))
    assert once.gradients == twice.gradients == BFLOAT16.gradient * PARAMETERS.trained
    assert once.buffers == 0


def test_copies_in_half_precision_are_whole_wherever_weights_are_partitioned() -> None:
    def weights(precision: Precision) -> float:
        sharding = ShardingConfig(zero_stage=3)
        return forecast(PARAMETERS, KEPT, Spread(4, sharding), partitioned(precision), 8).weights

    frozen = (FLOAT32.frozen - AUTOCAST.frozen) * PARAMETERS.frozen / 4
    assert weights(AUTOCAST) == weights(FLOAT32) - frozen + 2 * PARAMETERS.trained


@pytest.mark.parametrize("larger", ["clips", "prefix", "questions", "branch", "supervised"])
@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_more_of_anything_takes_more(larger: str, is_checkpointed: bool) -> None:
    decoder = draw_blueprint(llama(Case()), LORA).decoder
    shape = PassShape(2, 100, 3, 40, 20, is_checkpointed=is_checkpointed)
    more = replace(shape, **{larger: 2 * getattr(shape, larger)})

    def kept(of: PassShape) -> float:
        return step_bytes(activations(decoder, of, 2), 0, 0.0)

    assert kept(more) > kept(shape)
    assert activations(decoder, shape, 4).prefix > activations(decoder, shape, 2).prefix


def test_checkpointing_takes_less() -> None:
    decoder = draw_blueprint(llama(Case()), FULL).decoder
    shape = PassShape(2, 300, 3, 40, 20)
    plain, short = (activations(decoder, replace(shape, is_checkpointed=on), 2) for on in (False, True))
    assert short.prefix + short.branches < 0.5 * (plain.prefix + plain.branches)


def test_the_strategies_are_these() -> None:
    several = ["one GPU", "DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3"]
    offloaded = ["ZeRO-2, states on CPU", "ZeRO-3, all on CPU"]
    assert list(strategies(Spread(4, ShardingConfig(zero_stage=2)))) == [*several, *offloaded]
    assert list(strategies(Spread(1, ShardingConfig()))) == ["one GPU"]
    unusual = Spread(4, ShardingConfig(zero_stage=1, offload="optimiser"))
    assert strategies(unusual)["ZeRO-1, states on CPU"] == unusual
