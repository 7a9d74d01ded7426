"""A step that fails is saved, runs again as it was, and says where it began."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.model import D2VLM, ModelBundle
from d2vlm_pipeline.model.config import PoolConfig
from d2vlm_pipeline.model.packing import PackedBatch, pack
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.objectives import FPOConfig
from d2vlm_pipeline.training.align import AlignBatch, AlignEncoder, align_batches, caption_clip
from d2vlm_pipeline.training.config import FullTuning, LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.culprit import replay
from d2vlm_pipeline.training.loop import Trouble
from d2vlm_pipeline.training.precision import Compute
from d2vlm_pipeline.training.replay import Rescue, load_step
from d2vlm_pipeline.training.running import run, step_of
from d2vlm_pipeline.training.tuning import tuned
from model import tiny

CPU = torch.device("cpu")


def bundle(dropout: float = 0.0) -> ModelBundle:
    model = tiny.model(projector=PoolConfig(cell_size=8, dropout=dropout))
    return ModelBundle(model, tiny.tokenizer(), tiny.contract())


def config(tmp_path: Path, **changes: object) -> TrainConfig:
    given = {"steps": 4, "threads": 1, "replay_dir": str(tmp_path / "replay")}
    return TrainConfig.model_validate(given | changes)


def batch() -> PackedBatch:
    return pack([tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8)]), tiny.clip(5, ("tvg",))], 0)


def captions() -> AlignBatch:
    clip = caption_clip(tiny.sample("dvc"), tiny.features(8).numpy(), tiny.clock(8), bundle().layout)
    encoder = AlignEncoder(tiny.tokenizer(), tiny.tokens(), 2)
    return next(align_batches(0, [clip], encoder, clips_per_step=1, seed=0))[0]


def broken(tmp_path: Path, batch_of_step: Callable[[int], PackedBatch], given: ModelBundle) -> str:
    """The error of a phase over these batches."""
    def data(taken: int) -> Iterator[list[PackedBatch]]:
        return ([batch_of_step(step)] for step in itertools.count(taken + 1))

    with pytest.raises(UserError) as caught:
        run("sft", given, data, config(tmp_path), examples=lambda: "")
    return str(caught.value)


def test_a_number_missing_from_the_features_is_found(tmp_path: Path) -> None:
    def at(step: int) -> PackedBatch:
        found = batch()
        if step == 3:
            found.features_BTNC[1, 3, 2, 5] = float("nan")
        return found

    error = broken(tmp_path, at, bundle())
    place = tmp_path / "replay" / "sft-step3"
    assert error == (
        f"sft: the loss is nan at step 3; `d2vlm replay {place}` shows where it began; "
        "lower optim.learning_rate"
    )
    seen = replay(place)
    assert seen.culprit == "the batch: features_BTNC is nan at [1, 3, 2, 5] (1 of 384)"
    assert seen.weights == ""
    assert seen.forward.startswith("projector.norm is nan at [1, 3, 2, 0] (6 of 384)")


def test_every_pass_of_a_step_is_saved(tmp_path: Path) -> None:
    good, bad = batch(), batch()
    bad.features_BTNC[0, 2, 1, 0] = float("inf")
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        run("sft", bundle(), lambda taken: itertools.repeat([good, bad, good]), config(tmp_path), lambda: "")
    seen = replay(tmp_path / "replay" / "sft-step1")
    assert seen.culprit.startswith("the batch: 2.features_BTNC is inf at [0, 2, 1, 0]")
    assert seen.loss != seen.loss


def test_an_exploded_weight_is_found(tmp_path: Path) -> None:
    given = bundle()
    with torch.no_grad():
        given.model.layers[1].mlp.up_proj.weight[7, 3] = 3e38
    broken(tmp_path, lambda step: batch(), given)
    seen = replay(tmp_path / "replay" / "sft-step1")
    name = "backbone.model.layers.1.mlp.up_proj"
    assert seen.batch == seen.weights == ""
    assert seen.culprit.startswith(f"the forward pass: {name} is ")
    assert f"3e+38 in {name}.weight" in seen.largest
    assert seen.forward.endswith("and 3e+38 in weight")


def test_a_weight_that_is_no_number_is_found(tmp_path: Path) -> None:
    given = bundle()
    with torch.no_grad():
        given.model.key_head[1].weight[0, 0] = float("inf")
    broken(tmp_path, lambda step: batch(), given)
    seen = replay(tmp_path / "replay" / "sft-step1")
    assert seen.culprit == "the weights: key_head.1.weight is inf at [0, 0] (1 of 512)"


def test_a_gradient_that_is_too_long_is_found_before_it_spoils_the_weights(tmp_path: Path) -> None:
    given = bundle()
    with torch.no_grad():
        given.model.key_head[3].weight.mul_(1e20)
    before = {name: tensor.clone() for name, tensor in given.model.state_dict().items()}
    error = broken(tmp_path, lambda step: batch(), given)
    assert "the gradient's norm is inf at step 1" in error
    assert all(torch.equal(tensor, before[name]) for name, tensor in given.model.state_dict().items())
    seen = replay(tmp_path / "replay" / "sft-step1")
    assert seen.forward == seen.gradient == ""
    assert seen.culprit == "the gradient: all are finite, but their norm is inf"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("tuning", [FullTuning(), LoraTuning(rank=2, dropout=0.3)], ids=["full", "lora"])
@pytest.mark.parametrize("phase", ["sft", "fpo", "align"])
def test_a_replayed_step_is_the_step_that_was(
    phase: str, tuning: FullTuning | LoraTuning, precision: str, tmp_path: Path
) -> None:
    """Weights, dropout, reference and precision are those of then: the loss is the same to the last bit."""
    settings = config(tmp_path, tuning=tuning, precision=precision, fpo=FPOConfig(reference=True))
    given, compute = bundle(dropout=0.3), Compute.of(settings)
    model, reference = given.model.train(), tiny.model(seed=9)
    new, used = evidence_token_ids(given.tokenizer), captions() if phase == "align" else batch()
    rescue = Rescue(tmp_path / "replay", phase, model, reference, settings, new, compute)
    step = compute.running(step_of(phase, model, settings, reference))
    with tuned(model, tuning, new, seed=5), compute.holding(model, reference):
        shake(model)
        torch.manual_seed(8)
        random_state = torch.get_rng_state()
        loss = step(used).loss.item()
        assert step(used).loss.item() != loss  # dropout is drawn
        place = rescue(Trouble(2, "a test", [used], random_state))
    seen = replay(place)
    assert seen.loss == loss
    assert seen.culprit.startswith("not found: all is finite here")
    assert len(seen.lines()) == 9


def shake(model: D2VLM) -> None:
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))


def test_the_command_says_it_on_one_screen(tmp_path: Path) -> None:
    bad = replace(batch(), query_label_MT=batch().query_label_MT * float("nan"))
    broken(tmp_path, lambda step: bad, bundle())
    result = CliRunner().invoke(main, ["replay", str(tmp_path / "replay" / "sft-step1")])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "sft, step 1 of 4: the loss is nan"
    assert "grounding nan" in lines[6]
    assert lines[-1].startswith("It began in the batch: query_label_MT is nan")


def test_what_is_no_saved_step_is_refused_in_one_line(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"not a saved step; name the directory .* replay_dir$"):
            replay(directory)
    broken(tmp_path, lambda step: replace(batch(), features_BTNC=batch().features_BTNC * torch.inf), bundle())
    place = tmp_path / "replay" / "sft-step1"
    load_step(place)
    (place / "step.json").write_text("{}")
    with pytest.raises(UserError, match=r"step\.json: content does not match"):
        replay(place)


def test_without_a_folder_the_error_alone_remains(tmp_path: Path) -> None:
    bad = replace(batch(), features_BTNC=batch().features_BTNC * torch.inf)
    config = TrainConfig(steps=1, threads=1, optim=OptimConfig())
    with pytest.raises(UserError, match="sft: the loss is nan at step 1; lower"):
        run("sft", bundle(), lambda taken: itertools.repeat([bad]), config, lambda: "")
    assert list(tmp_path.iterdir()) == []
