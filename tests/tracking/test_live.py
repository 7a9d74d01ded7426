"""Curves while they grow: what arrives, what is tried again, what is said, and that nothing waits."""

import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

from d2vlm_pipeline.tracking import (
    CurveTarget,
    LiveCurve,
    TrackingConfig,
    curve_target,
    live,
    log_curves,
    patience,
    show_curves,
    tracking_client,
)


def points(*steps: int) -> list[dict[str, float]]:
    return [{"step": float(step), "loss": 1.0 / step} for step in steps]


def logged(tracking: TrackingConfig, run_id: str) -> list[tuple[int, float]]:
    history = tracking_client(tracking).get_metric_history(run_id, "sft/loss")
    return sorted((metric.step, metric.value) for metric in history)


def wait_for(tracking: TrackingConfig, run_id: str, steps: int) -> list[tuple[int, float]]:
    ends_s = time.monotonic() + 60
    while len(found := logged(tracking, run_id)) < steps and time.monotonic() < ends_s:
        time.sleep(0.05)
    return found


def test_points_arrive_while_the_phase_still_trains(tracking, run_id):
    with LiveCurve(CurveTarget(tracking, run_id, "sft")) as curve:
        curve(points(1)[0])
        assert wait_for(tracking, run_id, 1) == [(1, 1.0)]
        curve(points(2)[0])
    assert logged(tracking, run_id) == [(1, 1.0), (2, 0.5)]


def test_what_is_there_is_not_logged_again(tracking, run_id):
    """A phase that starts again from a checkpoint, and the whole curve at the end."""
    for steps in ((1, 2), (2, 3)):
        with LiveCurve(CurveTarget(tracking, run_id, "sft")) as curve:
            for point in points(*steps):
                curve(point)
    log_curves(tracking, run_id, points(1, 2, 3, 4), "sft")
    assert logged(tracking, run_id) == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]


def test_a_second_phase_of_one_curve_goes_on_behind_the_first(tracking, run_id):
    with LiveCurve(CurveTarget(tracking, run_id, "sft").behind(10)) as curve:
        curve(points(1)[0])
    assert logged(tracking, run_id) == [(11, 1.0)]


def test_a_locked_database_costs_nothing_but_time(tracking, run_id, monkeypatch, caplog):
    monkeypatch.setattr(live, "_RETRY_S", 0.1)
    monkeypatch.setattr(patience, "_patience_s", 0.1)  # of connections to come, where a run has set it
    lock = sqlite3.connect(tracking.database, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING), LiveCurve(CurveTarget(tracking, run_id, "sft"), 60.0) as curve:
        for point in points(1, 2):
            curve(point)
        ends_s = time.monotonic() + 60
        while "takes no points now" not in caplog.text and time.monotonic() < ends_s:
            time.sleep(0.05)
        lock.execute("ROLLBACK")
    assert logged(tracking, run_id) == [(1, 1.0), (2, 0.5)]
    assert [record.message for record in caplog.records if "takes no points now" in record.message]
    assert not [record for record in caplog.records if "has not taken" in record.message]


def test_what_mlflow_never_takes_is_counted(tracking, monkeypatch, caplog):
    monkeypatch.setattr(live, "_RETRY_S", 0.05)
    nowhere = CurveTarget(tracking, "no such run", "sft")
    with caplog.at_level(logging.WARNING), LiveCurve(nowhere, 0.2) as curve:
        for point in points(1, 2, 3):
            curve(point)
    said = [record.message for record in caplog.records]
    assert said[-1] == "sft: MLflow has not taken 3 of 3 points of the curve; the saved curve has them all"
    assert len([line for line in said if "takes no points now" in line]) == 1


def test_curves_go_to_whoever_watches_this_thread(tracking):
    target = CurveTarget(tracking, "run", "sft")
    assert curve_target() is None
    show_curves(target)
    assert curve_target() == target
    with ThreadPoolExecutor(1) as other:
        assert other.submit(curve_target).result() is None
    show_curves(None)
    assert curve_target() is None
