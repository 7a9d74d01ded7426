"""Runs side by side."""

from dataclasses import replace

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, log_curves, tracking_client
from d2vlm_pipeline.tracking.runs import PastRun, curve, differing_parameters, list_runs, score_table


@pytest.fixture
def two(tracking: TrackingConfig) -> tuple[PastRun, PastRun]:
    """An older and a newer run of an experiment of their own."""
    client = tracking_client(tracking)
    experiment = ensure_experiment(client, tracking)
    for at, (f1, steps) in enumerate([(40.0, "8"), (60.0, "16")]):
        run = client.create_run(experiment, run_name="smoke", start_time=1000 * (at + 1)).info.run_id
        client.log_metric(run, "fpo/test-iid/tvg/f1", f1)
        client.log_metric(run, "fpo/test-iid/tvg/f1.unparsed", 0.0)
        client.log_metric(run, "sft/test-iid/tvg/f1", 1.0)
        client.log_param(run, "sft.steps", steps)
        client.log_param(run, "world.seed", "7")
        if at:
            client.log_param(run, "sft.new", "x")
    newer, older = list_runs(tracking)
    return older, newer


@pytest.fixture
def tracking(tracking: TrackingConfig, request: pytest.FixtureRequest) -> TrackingConfig:
    """An experiment of the test's own."""
    return tracking.model_copy(update={"experiment": request.node.name})


def test_runs_come_newest_first_with_what_they_logged(two: tuple[PastRun, PastRun]) -> None:
    older, newer = two
    assert older.started < newer.started
    assert newer.metrics["fpo/test-iid/tvg/f1"] == 60.0 and newer.params["sft.steps"] == "16"
    assert newer.label == f"smoke ({newer.run_id[:8]})"


def test_scores_of_one_system_stand_side_by_side(two: tuple[PastRun, PastRun]) -> None:
    older, newer = two
    table = score_table([older, newer], "fpo", "test-iid")
    assert table.index.to_list() == ["tvg/f1"]
    assert table.loc["tvg/f1"].to_dict() == {older.label: 40.0, newer.label: 60.0}


def test_only_what_differs_is_shown(two: tuple[PastRun, PastRun]) -> None:
    older, newer = two
    table = differing_parameters(older, newer)
    assert table.T.to_dict() == {
        "sft.new": {older.label: "", newer.label: "x"},
        "sft.steps": {older.label: "8", newer.label: "16"},
    }
    assert differing_parameters(older, replace(older)).empty


def test_a_curve_is_in_the_order_of_its_steps(
    tracking: TrackingConfig, two: tuple[PastRun, PastRun]
) -> None:
    log_curves(tracking, two[1].run_id, [{"step": 4, "loss": 1.0}, {"step": 2, "loss": 2.0}], "sft")
    assert curve(tracking, two[1], "sft/loss") == ([2, 4], [2.0, 1.0])
    assert curve(tracking, two[0], "sft/loss") == ([], [])


def test_where_nothing_was_run_the_mend_is_named(tracking: TrackingConfig, tmp_path) -> None:
    with pytest.raises(UserError, match=r"no run of .* yet; run `kedro run` first"):
        list_runs(tracking)
    elsewhere = tracking.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/none.db"})
    with pytest.raises(UserError, match="run `kedro run` first"):
        list_runs(elsewhere)
    assert not (tmp_path / "none.db").exists()
