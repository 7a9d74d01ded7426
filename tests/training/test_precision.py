"""bfloat16 steps beside float32 ones, and where a phase may run."""

from pathlib import Path

import pytest
import torch

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.packing import pack
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.config import FrozenTuning, FullTuning, LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.optimiser import build_optimiser
from d2vlm_pipeline.training.precision import Compute, frozen_matrices
from d2vlm_pipeline.training.steps import fpo_step, sft_step
from d2vlm_pipeline.training.tuning import tuned
from model import tiny
from model.pretrained import ARCHITECTURES, fresh, two_clips, write_pretrained

CPU = torch.device("cpu")
SINGLE, HALF = Compute(CPU, torch.float32), Compute(CPU, torch.bfloat16)
WAYS = [
    FullTuning(),
    LoraTuning(rank=2, embeddings="all"),
    LoraTuning(rank=2),
    FrozenTuning(embeddings="none"),
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("config", WAYS, ids=str)
def test_a_half_precision_step_loses_about_what_a_single_precision_one_loses(
    home: Path, config: FullTuning | LoraTuning | FrozenTuning
) -> None:
    losses: list[list[float]] = []
    for compute in (SINGLE, HALF):
        bundle = fresh(home)
        model, given, seen = bundle.model, two_clips(bundle), []
        step = compute.running(lambda it, model=model: sft_step(model, it, SFTConfig()))
        with (
            tuned(model, config, evidence_token_ids(bundle.tokenizer), seed=0),
            compute.holding(model),
        ):
            optimiser = build_optimiser(model, OptimConfig(learning_rate=3e-3))
            for _ in range(4):
                optimiser.zero_grad(set_to_none=True)
                result = step(given)
                assert result.loss.dtype == torch.float32
                result.loss.backward()
                optimiser.step()
                seen.append(result.loss.item())
            for parameter in model.parameters():
                is_held_small = compute.is_mixed and not parameter.requires_grad and parameter.ndim > 1
                assert parameter.dtype == (torch.bfloat16 if is_held_small else torch.float32)
                for state in optimiser.state.get(parameter, {}).values():
                    assert state.dtype == torch.float32
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        losses.append(seen)
    single, half = losses
    assert half == pytest.approx(single, rel=0.03)
    assert half != single
    assert single[-1] < single[0] and half[-1] < half[0]


def test_preferences_with_a_reference_run_in_half_precision() -> None:
    model, reference = tiny.model(), tiny.model(seed=1)
    given = pack([tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8)])], 0)
    margins = []
    for compute in (SINGLE, HALF):
        step = compute.running(
            lambda it: fpo_step(model, it, SFTConfig(), FPOConfig(reference=True), reference)
        )
        with compute.holding(model, reference):
            result = step(given)
        assert result.spreads["margin"].dtype == torch.float32
        margins.append(result.loss.item())
    assert margins[1] == pytest.approx(margins[0], rel=0.03)


def test_evidence_is_computed_in_single_precision() -> None:
    """Similarities do not pass through bfloat16: its 8 bits would show in every one of them."""
    model = tiny.model()
    given = pack([tiny.clip(8)], 0)
    with torch.no_grad():
        output, _ = HALF.running(model)(given)
    found = output.similarity_MT
    assert found.dtype == output.queries_MD.dtype == output.token_logits_NV.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())


def test_what_trains_is_never_converted() -> None:
    model = tiny.model()
    model.backbone.requires_grad_(False)
    model.layers[0].requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    frozen = frozen_matrices(model)
    assert frozen and not any(p.requires_grad for p in frozen)
    with HALF.holding(model):
        pass
    for name, parameter in model.named_parameters():
        is_rounded = any(parameter is each for each in frozen)
        expected = before[name].bfloat16().float() if is_rounded else before[name]
        assert torch.equal(parameter, expected), name


def test_auto_is_the_cpu_in_single_precision_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Compute.of(TrainConfig()) == SINGLE
    assert Compute.of(TrainConfig(device="cpu", precision="bfloat16")) == HALF
    with pytest.raises(UserError, match="device cuda: torch finds no GPU here; set it to auto or cpu"):
        Compute.of(TrainConfig(device="cuda"))


@pytest.mark.parametrize(
    ("changes", "device", "dtype", "has_bf16"),
    [
        ({}, "cuda", torch.bfloat16, True),
        ({}, "cuda", torch.float32, False),
        ({"precision": "float32"}, "cuda", torch.float32, True),
        ({"device": "cpu"}, "cpu", torch.float32, True),
    ],
)
def test_auto_takes_the_gpu_and_what_it_can_do(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], device: str, dtype: torch.dtype, has_bf16: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assert Compute.of(TrainConfig.model_validate(changes)) == Compute(torch.device(device), dtype)
