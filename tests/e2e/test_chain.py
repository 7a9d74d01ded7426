"""The whole chain on real video files, with damage in them, and once more from nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from d2vlm_pipeline.evaluation.studies import StudiesConfig
from e2e.conftest import PARAMETERS, Project

pytestmark = pytest.mark.slow


@pytest.mark.ci_sample
def test_damage_costs_the_damaged_and_is_counted(damaged_run: Project) -> None:
    quarantine = damaged_run.report("quarantine.json")
    assert quarantine["videos_total"] == 9  # one of ten is gone
    refused = {video["video"] for video in quarantine["videos"]}
    assert refused == {"train-0001.mp4", "train-0002.mp4"}
    counts = quarantine["row_counts"]
    assert counts["duplicate_id"] == 1
    assert counts["event_past_end"] == 1
    assert counts["unknown_field"] == 1
    assert counts["malformed_line"] == 1
    assert counts["missing_video"] > 0 and counts["quarantined_video"] > 0
    late = next(row for row in quarantine["rows"] if row["code"] == "event_past_end")
    assert late["sample_id"] == "late" and late["line"] > 0 and "train-0000.mp4" in late["reason"]


@pytest.mark.ci_sample
def test_the_run_goes_on_to_a_champion_and_a_report(damaged_run: Project) -> None:
    scores = damaged_run.report("metrics.json")["scores"]
    assert set(scores) == {
        "chance",
        "prior",
        "tiling",
        "whole_video",
        "sft",
        "fpo",
        "zero_video",
        "swapped_video",
    }
    lines = (damaged_run.data / "03_primary" / "samples.jsonl").read_text().splitlines()
    held_out = [sample for line in lines if (sample := json.loads(line))["split"] == "test-iid"]
    for system in ("sft", "fpo", "zero_video"):
        assert set(scores[system]["test-iid"]) == {sample["task"] for sample in held_out}
    assert damaged_run.report("promotion.json")["moved"]
    assert set(damaged_run.report("studies.json")["studies"]) == set(StudiesConfig().run)
    page = (damaged_run.data / "08_reporting" / "report.html").read_text(encoding="utf-8")
    assert "What fpo answers" in page and "data:image/webp;base64," in page
    assert "prompt: " in page, "how the answers were made stands at its foot"
    assert list(damaged_run.root.glob("mlruns/**/artifacts/report/report.html")), "logged to MLflow"


@pytest.mark.ci_sample
def test_the_champion_answers_on_the_command_line(
    damaged_run: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from d2vlm_pipeline.cli import main
    from d2vlm_pipeline.timeline import Prediction

    monkeypatch.chdir(damaged_run.root)
    clip = damaged_run.data / "01_raw" / "world" / "test-iid-0000.mp4"
    asked = CliRunner().invoke(
        main, ["ask", str(clip), "When does a ball enter?", "--env", "smoke", "--json"]
    )
    assert asked.exit_code == 0, asked.output
    answer = Prediction.model_validate_json(asked.output)
    assert answer.model.alias == "champion"
    assert answer.model.digest


@pytest.mark.ci_sample
@pytest.mark.parametrize(
    ("content", "message"), [("not a video", "not a video|no video container"), (None, "no such file")]
)
def test_a_file_that_is_no_video_ends_with_one_line(
    damaged_run: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, message: str
) -> None:
    from d2vlm_pipeline.cli import main

    monkeypatch.chdir(damaged_run.root)
    file = tmp_path / "clip.mp4"
    if content is not None:
        file.write_text(content)
    asked = CliRunner().invoke(main, ["ask", str(file), "When?", "--env", "smoke"])
    assert asked.exit_code == 2
    assert len(asked.stderr.strip().splitlines()) == 1
    assert re.search(message, asked.stderr)


@pytest.mark.ci_sample
def test_before_a_champion_exists_the_mend_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from d2vlm_pipeline.cli import main

    monkeypatch.chdir(project.root)
    clip = tmp_path / "clip.mp4"
    clip.write_text("anything")
    asked = CliRunner().invoke(main, ["ask", str(clip), "When?", "--env", "base"])
    assert asked.exit_code == 2
    assert "no champion" in asked.stderr and "kedro run" in asked.stderr


def test_a_second_run_from_an_empty_data_root_gives_the_same_bytes(damaged_run: Project) -> None:
    shutil.rmtree(damaged_run.data)
    damaged_run.run(None)
    first = (damaged_run.data / "08_reporting" / "metrics.json").read_bytes()
    shutil.rmtree(damaged_run.data)
    damaged_run.run(None)
    assert (damaged_run.data / "08_reporting" / "metrics.json").read_bytes() == first
    decision = damaged_run.report("promotion.json")
    assert not decision["moved"]
    assert decision["reason"]
    _check_that_nothing_is_left_to_do(damaged_run)


def _check_that_nothing_is_left_to_do(project: Project) -> None:
    """What has just run need not run again; the champion alone is looked at beside the data."""
    from mlflow.tracking import MlflowClient

    from d2vlm_pipeline.orchestration.project import tracking_config

    def said(*arguments: str) -> str:
        from d2vlm_pipeline.orchestration.run_command import run

        given = ",".join(f"{key}={value}" for key, value in _leaves(PARAMETERS))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(project.root)
            result = CliRunner().invoke(run, ["--env", "smoke", "--params", given, *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert re.fullmatch(r"nothing to do: \d+ nodes are up to date; .*\n", said())
    tracking = tracking_config(project.root, "smoke")
    client = MlflowClient(tracking_uri=tracking.tracking_uri)
    version = client.get_model_version_by_alias(tracking.model_name, "champion").version
    client.delete_registered_model_alias(tracking.model_name, "champion")
    try:
        explained = said("--explain")
    finally:
        client.set_registered_model_alias(tracking.model_name, "champion", version)
    assert explained.startswith("1 of ")
    assert re.search(rf"promote_model +yes +champion: version {version} \(\w+\) → none", explained)


def _leaves(values: dict[str, Any], key: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{key}{name}.")
        else:
            yield f"{key}{name}", value


@pytest.mark.ci_sample
def test_guards_have_written_data_docs_and_mlflow_holds_them(damaged_run: Project) -> None:
    from mlflow.tracking import MlflowClient

    from d2vlm_pipeline.orchestration.project import tracking_config

    validation = damaged_run.data / "08_reporting" / "validation"
    guarded = {path.stem for path in validation.glob("*.json")}
    tables = {"raw_annotations", "video_table", "samples", "preference_pairs"}
    assert guarded == tables | {"samples_gate", "pairs_gate"}
    index = (validation / "docs" / "index.html").read_text()
    assert all(name in index for name in guarded)
    config = tracking_config(damaged_run.root, "smoke")
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]
    logged = {found.path for found in client.list_artifacts(run.info.run_id, "validation")}
    assert {"validation/docs", "validation/samples_gate.json"} <= logged


@pytest.mark.ci_sample
def test_samples_changed_behind_the_guard_s_back_stop_the_run(damaged_run: Project) -> None:
    """A sound file by its digest, whose content breaks a suite."""
    from d2vlm_pipeline.artifacts import UserError, write_bytes_atomic

    path = damaged_run.data / "03_primary" / "samples.jsonl"
    sound = path.read_bytes()
    first, _, _ = sound.partition(b"\n")
    write_bytes_atomic(path, sound + first + b"\n")
    try:
        with pytest.raises(UserError) as error:
            damaged_run.run(["guess_answers"])
    finally:
        write_bytes_atomic(path, sound)
    line = str(error.value)
    assert line.startswith("samples: expect_column_values_to_be_unique(id) does not hold: 2 of ")
    assert line.endswith("give every sample its own id") and "\n" not in line
