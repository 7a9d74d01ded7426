"""Scores, curves and files reach the run they were meant for."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import (
    TrackingConfig,
    ensure_experiment,
    flatten_scores,
    log_curves,
    log_files,
    log_scores,
    metric_key,
    open_run,
    tracking_client,
)


def run(tracking, run_id):
    return tracking_client(tracking).get_run(run_id)


def metrics_record(**scores) -> dict:
    cells = {
        name.replace("_at_", "@"): {"value": value, "low": value, "high": value, "n": 10, "unparsed": 1}
        for name, value in scores.items()
    }
    return {"schema": 1, "data": {}, "scores": {"fpo": {"test-iid": {"tvg": cells}}}}


def test_scores_are_flattened_and_kept_whole(tracking, run_id):
    record = metrics_record(f1=61.5, **{"r1_at_0.5": 40.0})
    log_scores(tracking, run_id, record)
    logged = run(tracking, run_id).data.metrics
    assert logged == {
        "fpo/test-iid/tvg/f1": 61.5,
        "fpo/test-iid/tvg/f1.unparsed": 1.0,
        "fpo/test-iid/tvg/r1_at_0.5": 40.0,
        "fpo/test-iid/tvg/r1_at_0.5.unparsed": 1.0,
    }
    client = tracking_client(tracking)
    assert [item.path for item in client.list_artifacts(run_id)] == ["metrics.json"]


def test_a_score_without_value_is_left_out_but_its_unparsed_answers_are_not():
    assert flatten_scores(metrics_record(f1=None)) == {"fpo/test-iid/tvg/f1.unparsed": 1.0}


def test_two_scores_of_one_name_are_refused():
    record = metrics_record(f1=1.0)
    record["scores"]["fpo"]["test-iid"]["tvg"] |= {
        "r1@0.5": {"value": 1, "unparsed": 0},
        "r1_at_0.5": {"value": 1, "unparsed": 0},
    }
    with pytest.raises(UserError, match=r"both fpo/test-iid/tvg/r1_at_0\.5 in MLflow"):
        flatten_scores(record)


def test_metric_names_hold_only_what_mlflow_takes():
    assert metric_key("a", "r1@0.5", "x:y%") == "a/r1_at_0.5/x:y_"


def test_curves_keep_every_step_beyond_one_batch(tracking, run_id):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 1203)]
    log_curves(tracking, run_id, rows, "sft")
    history = tracking_client(tracking).get_metric_history(run_id, "sft/loss")
    assert sorted((point.step, point.value) for point in history) == [
        (row["step"], row["loss"]) for row in rows
    ]


def test_a_curve_without_steps_is_refused(tracking, run_id):
    with pytest.raises(UserError, match=r"curves of sft, row 2: step is None"):
        log_curves(tracking, run_id, [{"step": 1, "loss": 1.0}, {"loss": 2.0}], "sft")


def test_files_and_folders_are_logged(tracking, run_id, tmp_path):
    (tmp_path / "curves.png").write_bytes(b"png")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("html")
    log_files(tracking, run_id, [tmp_path / "curves.png", tmp_path / "report"], "reports")
    client = tracking_client(tracking)
    found = {item.path for item in client.list_artifacts(run_id, "reports")}
    assert found == {"reports/curves.png", "reports/report"}
    assert [i.path for i in client.list_artifacts(run_id, "reports/report")] == ["reports/report/index.html"]
    with pytest.raises(UserError, match=r"absent\.png: no such file"):
        log_files(tracking, run_id, [tmp_path / "absent.png"])


def test_threads_log_to_the_runs_they_name(tracking):
    client = tracking_client(tracking)
    experiment = ensure_experiment(client, tracking)
    runs = [client.create_run(experiment).info.run_id for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda n: log_curves(tracking, runs[n], [{"step": n, "loss": float(n)}], "x"), range(4))
        )
    assert [run(tracking, run_id).data.metrics for run_id in runs] == [{"x/loss": float(n)} for n in range(4)]


def test_artifacts_go_to_the_configured_root(tracking, run_id):
    assert run(tracking, run_id).info.artifact_uri.startswith(tracking.artifact_location)


def test_an_experiment_with_its_artifacts_elsewhere_is_refused(tracking, run_id):
    moved = tracking.model_copy(update={"artifact_root": "/elsewhere"})
    with pytest.raises(UserError, match="keeps its artifacts in"):
        ensure_experiment(tracking_client(tracking), moved)


def test_a_deleted_experiment_is_restored(tracking):
    config = tracking.model_copy(update={"experiment": "short-lived"})
    client = tracking_client(config)
    experiment = ensure_experiment(client, config)
    client.delete_experiment(experiment)
    assert ensure_experiment(client, config) == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def test_a_run_of_its_own_is_closed_and_a_given_one_is_not(tracking, run_id):
    client = tracking_client(tracking)
    with open_run(client, tracking, None, "own") as own:
        assert run(tracking, own).info.status == "RUNNING"
    assert run(tracking, own).info.status == "FINISHED"
    with open_run(client, tracking, run_id, "given") as given:
        assert given == run_id
    assert run(tracking, run_id).info.status == "RUNNING"
    with pytest.raises(ZeroDivisionError), open_run(client, tracking, None, "failing") as failing:
        raise ZeroDivisionError
    assert run(tracking, failing).info.status == "FAILED"


def test_a_server_needs_a_directory_for_lock_and_audit(tmp_path):
    server = TrackingConfig(tracking_uri="http://127.0.0.1:5000", artifact_root="mlflow-artifacts:/")
    with pytest.raises(UserError, match="needs a state_dir"):
        _ = server.state_directory
    assert server.artifact_location == "mlflow-artifacts:/"
    named = server.model_copy(update={"state_dir": str(tmp_path)})
    assert named.state_directory == tmp_path


def test_nothing_is_unpickled_once_a_client_was_made(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    tracking_client(tracking)
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


@pytest.mark.parametrize(
    ("module", "needed"),
    # Promotion holds two systems' sums by clip against each other.
    [("tracking", set()), ("registry", {"numpy"}), ("preferences", set())],
)
def test_importing_the_package_does_not_import_what_is_heavy(module, needed):
    code = f"import sys, d2vlm_pipeline.{module}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"mlflow", "torch", "pandas", "kedro", "transformers", "numpy", "scipy", "cryptography"}
    assert heavy & set(result.stdout.split()) == needed
