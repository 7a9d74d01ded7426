"""What a gate refuses is not handed on: run by Kedro, with the project's own catalog entries."""

from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.orchestration.project import project_config
from d2vlm_pipeline.orchestration.validation import GuardError
from d2vlm_pipeline.pipelines import ingestion
from orchestration.validation.cases import sample, video

ROOT = Path(__file__).parents[2]
HASHES = tuple(digest_json(["one video", number]) for number in range(8))
SAMPLES = [sample("s1", "a.mp4"), sample("s2", "b.mp4", "test-iid")]


def catalog(tmp_path: Path, **inputs: Any) -> DataCatalog:
    """The gate's outputs as conf/base has them, below a temporary folder; its inputs from memory."""
    entries = project_config(ROOT / "conf", "base")["catalog"]
    chosen = {name: entries[name] for name in ("samples_gate", "samples")}
    for name, entry in chosen.items():
        entry["filepath"] = str(tmp_path / f"{name}.jsonl")
        options = entry["validator"]["options"]
        options["suite"] = {"filepath": str(ROOT / options["suite"]["filepath"])}
        options["results"] = {"filepath": str(tmp_path / "validation")}
    made = DataCatalog.from_config(chosen)
    for name, data in inputs.items():
        made[name] = MemoryDataset(data)
    return made


def run_gate(made: DataCatalog) -> None:
    gate: Pipeline = ingestion.create_pipeline().only_nodes("gate_samples")
    SequentialRunner().run(gate, made)


def test_sound_samples_pass(tmp_path: Path) -> None:
    videos = [video("a.mp4", "a" * 64, fingerprint=HASHES), video("b.mp4", "b" * 64)]
    run_gate(catalog(tmp_path, annotated_samples=SAMPLES, video_table=videos))
    assert (tmp_path / "samples.jsonl").read_text().count("\n") == 2
    assert (tmp_path / "samples_gate.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("videos", "line"),
    [
        (
            [video("a.mp4", "a" * 64, fingerprint=HASHES), video("b.mp4", "b" * 64, fingerprint=HASHES)],
            "expect_no_near_duplicate_across_splits(split, twin, twin_split) does not hold: 2 of 2 rows: "
            "video=a.mp4, split=train, twin=b.mp4, twin_split=test-iid; ",
        ),
        (
            [video("a.mp4", "a" * 64), video("b.mp4", "a" * 64)],
            "expect_footage_in_one_split(digest, split) does not hold: 2 of 2 rows: video=a.mp4, ",
        ),
        (
            [video("a.mp4", "a" * 64, duration_s=2.5), video("b.mp4", "b" * 64)],
            "expect_intervals_inside_video(latest_sample, first_s, latest_s, duration_s) does not hold: "
            "1 of 2 rows: video=a.mp4, latest_sample=s1, first_s=1, latest_s=3, duration_s=2.5; ",
        ),
    ],
)
def test_what_the_gate_refuses_is_not_written(tmp_path: Path, videos: list[Any], line: str) -> None:
    with pytest.raises(GuardError) as error:
        run_gate(catalog(tmp_path, annotated_samples=SAMPLES, video_table=videos))
    assert str(error.value).startswith(f"samples_gate: {line}")
    assert not (tmp_path / "samples.jsonl").exists()
    assert (tmp_path / "validation" / "docs" / "index.html").is_file()
