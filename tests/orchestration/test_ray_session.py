"""Where Ray runs, and what it leaves behind: a process of its own, for settings that Ray reads once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
import os
import ray
from d2vlm_pipeline.orchestration.ray_session import ray_session, test_cluster
from d2vlm_pipeline.orchestration.ray_settings import TEST_CLUSTER, RaySettings

with ray_session(RaySettings(address=TEST_CLUSTER)):
    assert [machine["Resources"]["CPU"] for machine in ray.nodes()] == [2, 2]
    two = ray.get_runtime_context().gcs_address
    with ray_session(RaySettings(address="nowhere:1")):  # joins what runs here
        assert ray.get_runtime_context().gcs_address == two
with test_cluster() as cluster, ray_session(RaySettings(object_store_mb=100)):  # could find that one
    assert ray.get_runtime_context().gcs_address != cluster.address and len(ray.nodes()) == 1
assert not ray.is_initialized() and "RAY_TMPDIR" not in os.environ
"""


@pytest.mark.slow
def test_a_ray_started_here_is_nobody_elses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    temporary = Path("/tmp") / f"r{os.getpid()}"  # sockets have short paths
    temporary.mkdir()
    environment = {**given, "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", JOB], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Token authentication" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "no token in the home folder"
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
