"""The record of a run, what it names of machine and packages, and what it keeps to itself."""

from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking import TrackingConfig, read_lineage, tracking_client
from d2vlm_pipeline.tracking import machine as machine_module
from d2vlm_pipeline.tracking.git_state import GitState
from d2vlm_pipeline.tracking.lineage import (
    CONFIGURATION,
    PATCH,
    RECORD,
    Identity,
    Lineage,
    NodesRun,
    find_lineage,
    log_begun,
    log_lineage,
    read_logged,
)
from d2vlm_pipeline.tracking.machine import installed_packages, package_differences, this_machine
from d2vlm_pipeline.tracking.redact import redacted, redacted_text


def a_lineage(**changes: Any) -> Lineage:
    """Of a run of one node."""
    known: dict[str, Any] = {
        "schema": 1,
        "git": GitState(commit="c" * 40, branch="main"),
        "lock": "1" * 64,
        "configuration": "2" * 64,
        "env": "smoke",
        "pipelines": ["sft"],
        "runner": "SequentialRunner",
        "seed": 7,
        "metric_code": "3" * 64,
        "world": None,
        "encoder": Identity(configuration="4" * 64),
        "backbone": Identity(configuration="5" * 64, content="6" * 64),
        "machine": this_machine(),
        "packages": {"torch": "2.1"},
        "nodes": NodesRun(),
    }
    return Lineage.model_validate({**known, **changes})


def test_a_lineage_is_read_back_as_it_was_logged(tracking: TrackingConfig, run_id: str) -> None:
    assert read_lineage(tracking, run_id) is None
    log_begun(tracking, run_id, a_lineage(), "env: smoke\n", b"\xff patch")
    log_lineage(tracking, run_id, a_lineage(outcome="finished"))
    found = read_lineage(tracking, run_id)
    assert found is not None and found["schema"] == 1 and found["outcome"] == "finished"
    assert find_lineage(tracking, run_id) == a_lineage(outcome="finished")
    assert read_logged(tracking, run_id, CONFIGURATION) == b"env: smoke\n"
    assert read_logged(tracking, run_id, PATCH) == b"\xff patch"


def test_tags_say_what_runs_are_searched_by(tracking: TrackingConfig, run_id: str) -> None:
    log_lineage(tracking, run_id, a_lineage(outcome="failed"))
    tags = tracking_client(tracking).get_run(run_id).data.tags
    found = {name.removeprefix("lineage."): tag for name, tag in tags.items() if name.startswith("lineage.")}
    assert found == {
        "outcome": "failed",
        "commit": "c" * 40,
        "branch": "main",
        "patch": "clean",
        "lock": "1" * 16,
        "configuration": "2" * 16,
        "env": "smoke",
        "pipelines": "sft",
        "seed": "7",
        "metric_code": "3" * 16,
        "encoder": "4" * 16,
        "backbone": "6" * 16,
    }


def test_a_run_that_is_not_there_and_a_record_of_another_version_are_named(
    tracking: TrackingConfig, run_id: str
) -> None:
    with pytest.raises(UserError, match=r"no run 0123; `mlflow ui` lists the runs"):
        read_lineage(tracking, "0123")
    tracking_client(tracking).log_text(run_id, '{"schema": 2}', RECORD)
    with pytest.raises(UserError, match=r"lineage/lineage.json is of another version \(schema"):
        find_lineage(tracking, run_id)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://me:pa:ss/w0rd@db/x", "postgresql://me:***@db/x"),
        ("see s3://:key@host and http://a:b@c.", "see s3://:***@host and http://a:***@c."),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("10:30 a@b", "10:30 a@b"),
    ],
)
def test_passwords_of_addresses_are_hidden(given: str, expected: str) -> None:
    assert redacted_text(given) == expected


def test_values_under_keys_of_secrets_are_hidden_and_tokens_of_text_are_not() -> None:
    given = {
        "tracking": {"uri": "http://me:x@host", "password": "x", "retries": [1, "http://me:x@h"]},
        "aws": {"aws_secret_access_key": "x", "api-key": 5, "secret": None, "hf_token": "x"},
        "max_new_tokens": 8,
        "token": "<evi>",
        "secretary": "Ada",
        "is_password": True,
    }
    assert redacted(given) == {
        "tracking": {"uri": "http://me:***@host", "password": "***", "retries": [1, "http://me:***@h"]},
        "aws": {"aws_secret_access_key": "***", "api-key": "***", "secret": None, "hf_token": "***"},
        "max_new_tokens": 8,
        "token": "<evi>",
        "secretary": "Ada",
        "is_password": True,
    }


def test_packages_are_found_by_their_folders_as_their_metadata_names_them() -> None:
    from importlib.metadata import version

    found = installed_packages()
    for name in ("mlflow", "torch", "pydantic-core", "great-expectations"):
        assert found[name] == version(name)


def test_packages_that_differ_are_named(tmp_path: Path) -> None:
    for name in ("Flask_WTF-1.2.dist-info", "torch-2.1+cpu.dist-info", "extra-1.dist-info", "torch"):
        (tmp_path / name).mkdir()
    found = installed_packages([tmp_path])
    assert found == {"flask-wtf": "1.2", "torch": "2.1+cpu", "extra": "1"}
    wanted = {"flask-wtf": "1.2", "torch": "2.1", "gone": "3"}
    said = ["gone 3 (installed: not at all)", "torch 2.1 (installed: 2.1+cpu)"]
    assert package_differences(wanted, found) == said


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034, 550.54'\necho 'NVIDIA L4, [N/A], 550.54'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    machine_module._gpus.cache_clear()
    (gpu,) = this_machine().gpus
    assert (gpu.name, gpu.memory_mb, gpu.driver) == ("NVIDIA L4", 23034, "550.54")
    machine_module._gpus.cache_clear()
