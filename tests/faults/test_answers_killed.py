"""An evaluation that is killed at once, without a chance to tidy up, loses the portion it was in."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import is_complete

pytestmark = [pytest.mark.slow, pytest.mark.ci_sample]

JOB = Path(__file__).with_name("answers_job.py")
TESTS = Path(__file__).parents[1]


def job(folder: Path, kill_after: int = 0) -> int:
    """Exit status of a run."""
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(JOB), str(folder), str(kill_after)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def answered(folder: Path) -> list[str]:
    return (folder / "answered.txt").read_text().splitlines()


def test_killed_twice_it_answers_only_what_is_missing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    assert job(tmp_path / "whole") == 0
    killed, artefact = tmp_path / "killed", "sft_predictions.jsonl"
    for count in (1, 2):
        assert job(killed, kill_after=count) == -signal.SIGKILL
        assert not is_complete(killed / artefact)
    # Cut in the middle of a line, as a machine that loses its power may leave it.
    journal = killed / "journal" / artefact
    journal.write_bytes(journal.read_bytes()[:-40])
    assert job(killed) == 0
    assert is_complete(killed / artefact)
    assert (killed / artefact).read_bytes() == (tmp_path / "whole" / artefact).read_bytes()
    portions = answered(tmp_path / "whole")
    # The third portion, whose last line was cut, is the only one that was answered twice.
    assert answered(killed) == [*portions[:3], *portions[2:]]
    assert [path.name for path in killed.iterdir() if ".tmp" in path.name] == []
