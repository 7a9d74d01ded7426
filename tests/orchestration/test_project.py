"""The project and its configuration outside a session."""

from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.project import anchored, find_project, project_config, tracking_config
from d2vlm_pipeline.orchestration.stages import in_order


def test_the_project_is_found_from_below(project: Path) -> None:
    below = project / "conf" / "base"
    assert find_project(below) == project == find_project()


def test_outside_a_project_the_error_says_where_to_go(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match=r"not inside the project; change to the folder"):
        find_project(tmp_path_factory.mktemp("elsewhere"))


def test_parameters_merge_key_by_key(project: Path) -> None:
    assert project_config(project / "conf", "smoke")["parameters"]["sft"] == {
        "steps": 2,
        "optimiser": {"rate": 0.5},
    }


def test_every_environment_has_a_store_of_its_own(project: Path) -> None:
    base, smoke = tracking_config(project), tracking_config(project, "smoke")
    assert base.database == project / "mlruns/mlflow.db"
    assert smoke.database == project / "mlruns/smoke/mlflow.db"
    assert base.artifact_location == (project / "mlruns/artifacts").as_uri()


def test_servers_are_left_as_they_are(tmp_path: Path) -> None:
    experiment = {"name": "d2vlm", "create_experiment_kwargs": {"artifact_location": "s3://bucket/runs"}}
    conf = {
        "server": {"mlflow_tracking_uri": "http://127.0.0.1:5000"},
        "tracking": {"experiment": experiment},
    }
    assert anchored(conf, tmp_path) == conf


def test_stages_come_in_their_order() -> None:
    assert in_order(["fpo", "zeta", "ingestion", "align", "fpo"]) == ["ingestion", "fpo", "align", "zeta"]
