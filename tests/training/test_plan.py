"""Plans of the project's environments: counted, foretold, and refused where they make no sense."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.training.frames import FrameFeatures
from d2vlm_pipeline.training.plan import Plan
from d2vlm_pipeline.training.planning import plan_environment

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
QWEN, PHI = 3_754_622_976, 3_821_079_552


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own configuration, to be spoiled."""
    shutil.copytree(CONF, tmp_path / "conf")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plan", *arguments])


def total(plan: Plan, phase: str = "sft", way: str = "ZeRO-2") -> float:
    return plan.phases[phase].memory[way].total


@pytest.fixture(scope="module")
def gpu() -> Plan:
    return plan_environment(CONF, "gpu", None, None)


def test_the_video_language_model_is_counted_to_the_parameter(gpu: Plan) -> None:
    parts = gpu.phases["sft"].counted.parts
    language = parts["decoder layers"].total + parts["embeddings and last norm"].total
    assert language + gpu.frame.parameters == QWEN


def test_the_plain_language_model_is_counted_to_the_parameter() -> None:
    plan = plan_environment(CONF, "gpu_causal_lm", None, None)
    parts = plan.phases["sft"].counted.parts
    assert parts["decoder layers"].total + parts["embeddings and last norm"].total == PHI
    assert plan.frame == FrameFeatures(tokens=16, channels=768, parameters=92_884_224)
    # One fused map to queries, keys and values, and the one behind attention.
    adapters = 32 * 128 * (3072 + 3 * 3072 + 3072 + 3072)
    assert parts["adapters"].trained == adapters
    assert plan.phases["sft"].shape.prefix == 32 + 350
    assert plan.phases["sft"].memory["ZeRO-2"].total < 40 * 2**30


def test_a_projector_that_reads_the_question_brings_a_prefix_for_each(project: Path) -> None:
    file = project / "conf" / "gpu_causal_lm" / "parameters_model.yml"
    pool = plan_environment(project / "conf", "gpu_causal_lm", None, None).phases["sft"]
    text = file.read_text().replace("{kind: pool, cell_size: 384, dropout: 0.1}", "{kind: qformer}")
    file.write_text(text)
    reading = plan_environment(project / "conf", "gpu_causal_lm", None, None).phases["sft"]
    assert (pool.shape.questions, pool.passes) == (4, 8)
    assert (reading.shape.questions, reading.passes) == (1, 32)
    assert reading.shape.frame_bytes > 10 * pool.shape.frame_bytes
    # Twelve layers of BERT, without its words: 110 M less 24 M, and six layers' second attention.
    assert reading.counted.parts["projector"].total > 100_000_000


def test_both_environments_train_alike() -> None:
    """The published settings are written down twice, since environments stand alone: the same both times."""
    texts = [(CONF / env / "parameters_training.yml").read_text() for env in ("gpu", "gpu_causal_lm")]
    assert texts[0] == texts[1]


def test_what_trains_is_what_was_published(gpu: Plan) -> None:
    """Adapters on attention, embeddings and heads; nothing else of the language model."""
    parts = gpu.phases["sft"].counted.parts
    width, key_value, rank, layers, words = 2048, 256, 128, 36, 151_936
    adapters = layers * rank * (2 * (width + width) + 2 * (width + key_value))
    assert parts["adapters"].trained == parts["adapters"].total == adapters
    assert parts["embeddings and last norm"].trained == words * width
    assert parts["decoder layers"].trained == 0
    head = 2 * width + 2 * width * 1024 + 1024 + width
    assert parts["heads"].trained == 2 * head


def test_a_pass_is_as_long_as_its_frames_and_questions(gpu: Plan) -> None:
    shape = gpu.phases["sft"].shape
    assert shape.prefix == 32 + 350 * 4
    assert (shape.clips, shape.questions, shape.branch, shape.supervised) == (1, 4, 192, 128)
    assert gpu.phases["fpo"].shape.branch == 64 + 2 * 128


def test_longer_clips_take_more_and_more_gpus_less(gpu: Plan) -> None:
    assert total(plan_environment(CONF, "gpu", None, 700)) > total(gpu)
    assert total(plan_environment(CONF, "gpu", 8, None)) < total(gpu)


def test_the_default_fits_a_card_of_40_gb_on_one_gpu_too() -> None:
    """What conf/gpu tells people to try."""
    plan = plan_environment(CONF, "gpu", 1, None)
    for phase in plan.phases.values():
        assert list(phase.memory) == ["one GPU"]
        assert phase.passes == 32
        assert phase.memory["one GPU"].total < 40 * 2**30


@pytest.mark.parametrize("env", ["base", "smoke"])
def test_every_environment_has_a_plan(env: str) -> None:
    plan = plan_environment(CONF, env, None, None)
    assert plan.phases["sft"].counted.total.total == 2_766_798
    assert plan.frame.parameters == 4_652_008


def test_a_reference_model_lies_beside_the_one_that_trains(project: Path) -> None:
    plain = plan_environment(project / "conf", "gpu", None, None)
    spoil(project, "parameters_training.yml", "beta_text: 0.1,", "beta_text: 0.1, reference: true,")
    both = plan_environment(project / "conf", "gpu", None, None)
    assert total(both, "fpo") > total(plain, "fpo") + 2 * 3_000_000_000
    assert total(both) == total(plain)


def test_a_reference_model_is_partitioned_by_no_strategy(project: Path) -> None:
    plain = plan_environment(project / "conf", "gpu", 8, None).phases["fpo"].memory
    spoil(project, "parameters_training.yml", "beta_text: 0.1,", "beta_text: 0.1, reference: true,")
    both = plan_environment(project / "conf", "gpu", 8, None).phases["fpo"].memory
    added = {way: both[way].weights - plain[way].weights for way in plain}
    assert {"DDP", "ZeRO-2", "ZeRO-3"} <= set(added)
    assert len(set(added.values())) == 1 and added["ZeRO-3"] > 2 * 3_000_000_000


def test_the_tables_show_counts_and_cards(project: Path) -> None:
    result = run("--env", "gpu")
    assert result.exit_code == 0, result.output
    for text in ("sft, fpo: parameters", "668,684,288", "→ ZeRO-2", "24 GB", "adapters", "1,432"):
        assert text in result.stdout
    assert "…" not in result.stdout


def test_as_json_there_is_all_of_it(project: Path) -> None:
    found: dict[str, Any] = json.loads(run("--env", "gpu", "--gpus", "8", "--json").stdout)
    sft = found["phases"]["sft"]
    assert found["encoder_parameters"] == 668_684_288
    assert sft["deepspeed"]["train_batch_size"] == 32 == 8 * sft["passes"]
    assert sft["memory"]["ZeRO-2"]["fits_80_gib"] is True
    assert (found["ray"]["address"], found["train"]["workers"]) == ("auto", 8)
    parts = [value for name, value in sft["memory"]["DDP"].items() if name.endswith("_bytes")]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], abs=10)


def spoil(project: Path, file: str, old: str, new: str) -> None:
    path = project / "conf" / "gpu" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


TRAINING, MODEL, RAY = "parameters_training.yml", "parameters_model.yml", "ray.yml"
ENCODER = "parameters.yml"
MODEL_ID = "Qwen/Qwen2.5-VL-3B-Instruct"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (TRAINING, "zero_stage: 2", "zero_stag: 2", "sft.sharding.zero_stag: Extra inputs are not permitted"),
        (TRAINING, "micro_batch: 1", "micro_batch: 3", "sft: clips_per_step 32 does not divide among"),
        (ENCODER, "grid: 2", "grid: 9", "encoder.grid is 9, but 224 pixels are 8 tokens a side"),
        (ENCODER, "input_px: 224", "input_px: 230", "encoder.input_px 230: .* needs a multiple of 28"),
        (MODEL, "kind: vlm", "kind: llm", "model.backbone: Input tag 'llm'"),
        (MODEL, "semantic_layer: 6", "semantic_layer: 60", "semantic_layer 60 must be below 36"),
        (MODEL, MODEL_ID, "me/mine", "me/mine: its architecture is not on this machine"),
        (TRAINING, "max_failures", "failures", "train.failures: Extra inputs are not permitted"),
        (TRAINING, "PACK", "PACKED", "train.placement"),
        (RAY, "decoders", "decoder", "conf/gpu/ray.yml: ray.features.decoder: Extra inputs"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_file(
    project: Path, file: str, old: str, new: str, said: str
) -> None:
    spoil(project, file, old, new)
    result = run("--env", "gpu")
    assert result.exit_code == 2
    assert re.search(said, result.stderr)
    if file == TRAINING:
        assert result.stderr.startswith("conf/gpu/parameters_training.yml: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("grid: 4", "grid: 15", "encoder.grid is 15, but .* cuts frames into 14 × 14 patches; lower it"),
        ("layer: -2", "layer: -13", "encoder.layer is -13, but .* has 12 layers; raise it"),
        ("path: google/siglip2-base-patch16-224", "path: {home}", "a resnet model has no vision tower"),
    ],
)
def test_an_image_encoder_is_held_to_what_it_has(
    project: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    path = project / "conf" / "gpu_causal_lm" / "parameters.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new.format(home=tmp_path)))
    result = run("--env", "gpu_causal_lm")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert re.search(said, result.stderr)


def test_gpus_that_clips_do_not_divide_among_are_one_line(project: Path) -> None:
    result = run("--env", "gpu", "--gpus", "5")
    assert result.exit_code == 2
    assert result.stderr.startswith("sft: clips_per_step 32 does not divide among micro_batch 1 on 5 workers")
    assert len(result.stderr.splitlines()) == 1
