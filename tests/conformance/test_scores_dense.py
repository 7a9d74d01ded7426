"""Dense captions: the recorded figures of densevid_eval and SODA come out, through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.public import public_file
from conformance.scoring import PublicFiles, score
from d2vlm_pipeline.evaluation.captions import meteor_unavailable

FOLDER = "activitynet_dvc"
PREDICTIONS = ["bmt_pred", "perturbed_pred"]
TOLERANCES = {"Recall": 1e-6, "Precision": 1e-6, "F1": 1e-6}
SENTENCES = 1e-4


def recorded(name: str) -> Any:
    return json.loads(public_file(FOLDER, name).read_text())


def official(predictions: str, truths: tuple[str, ...], folder: Path) -> Any:
    files = PublicFiles(FOLDER, f"{predictions}.json", truths)
    return score("activitynet-captions", files, folder, ["--protocol", "official"])["metrics"]


def test_meteor_runs_here_so_that_nothing_below_is_left_out() -> None:
    assert meteor_unavailable() is None


@pytest.mark.parametrize("predictions", PREDICTIONS)
def test_figures_of_both_reference_sets(predictions: str, tmp_path: Path) -> None:
    expected = recorded(f"{predictions}.densevid_eval.expected.json")
    metrics = official(predictions, tuple(expected["refs"]), tmp_path)
    for name, fractions in expected["fraction_per_tiou"].items():
        wanted = [100 * fraction for fraction in fractions]
        assert metrics[name] == pytest.approx(wanted, abs=TOLERANCES.get(name, SENTENCES)), name
    story = recorded(f"{predictions}.soda.expected.json")["fraction"]["SODA_c/val_1+val_2_multi_reference"]
    wanted_story = {part: 100 * fraction for part, fraction in story.items()}
    assert metrics["SODA_c"] == pytest.approx(wanted_story, abs=SENTENCES)


@pytest.mark.parametrize("predictions", PREDICTIONS)
def test_stories_of_one_reference_set(predictions: str, tmp_path: Path) -> None:
    metrics = official(predictions, ("val_1.json",), tmp_path)
    expected = recorded(f"{predictions}.soda.expected.json")["fraction"]
    for name in ("SODA_c", "SODA_a", "SODA_d"):
        wanted = {part: 100 * fraction for part, fraction in expected[f"{name}/val_1"].items()}
        assert metrics[name] == pytest.approx(wanted, abs=SENTENCES), name


def test_every_recorded_figure_is_compared() -> None:
    stories = {"SODA_c/val_1", "SODA_a/val_1", "SODA_d/val_1", "SODA_c/val_1+val_2_multi_reference"}
    for predictions in PREDICTIONS:
        assert recorded(f"{predictions}.soda.expected.json")["fraction"].keys() == stories
    found = {path.name.split(".")[0] for path in public_file(FOLDER).glob("*.expected.json")}
    assert found == set(PREDICTIONS)
