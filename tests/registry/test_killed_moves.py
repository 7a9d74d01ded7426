"""Killed at any step, a move leaves the old or the new champion, and the next one completes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.registry import resolve_champion
from d2vlm_pipeline.registry.steps import PROMOTION, ROLLBACK, Step
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from registry.moves import Killed, Seen, aliases, go_back, history, killed_at, offer

pytestmark = pytest.mark.usefixtures("light_packing")

# At this step, or before it, nothing has been decided.
DECIDED = {Step.PREVIOUS, Step.CHALLENGER, Step.CHAMPION, Step.CLOSE}


def test_the_steps_are_taken_in_the_order_of_their_list(tracking, model_dir):
    promoted, back = Seen(), Seen()
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0, promoted)
    go_back(tracking, watch=back)
    assert tuple(promoted.steps) == PROMOTION and tuple(back.steps) == ROLLBACK
    assert set(PROMOTION) | set(ROLLBACK) == set(Step)


@pytest.mark.parametrize("step", PROMOTION)
def test_a_killed_promotion_leaves_a_champion_and_is_completed_by_the_next(tracking, model_dir, step):
    offer(tracking, model_dir("first"))
    with pytest.raises(Killed):
        offer(tracking, model_dir("second"), 55.0, killed_at(step))
    left = resolve_champion(tracking).version
    assert left == ("2" if step is Step.CLOSE else "1")
    again = offer(tracking, model_dir("second"), 55.0)
    assert again.moved and again.version == "2" and again.is_champion
    assert aliases(tracking) == {"champion": "2", "previous_champion": "1"}
    assert history(tracking) == [("promote", "1"), ("promote", "2")]
    assert len(tracking_client(tracking).search_model_versions("name = 'd2vlm'")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("step", [Step.EVIDENCE, Step.PREVIOUS, Step.CHAMPION])
def test_whoever_comes_next_completes_a_killed_promotion(tracking, model_dir, step):
    """Not the same candidate, but a worse one, or a rollback."""
    offer(tracking, model_dir("first"))
    with pytest.raises(Killed):
        offer(tracking, model_dir("second"), 55.0, killed_at(step))
    offer(tracking, model_dir("third"), 40.0)
    found = aliases(tracking)
    assert found["champion"] == ("2" if step in DECIDED else "1")
    assert found["challenger"] == history(tracking)[-1][1]
    assert history(tracking)[-1][0] == "keep"


@pytest.mark.parametrize("step", [Step.APPEND, Step.CHAMPION, Step.CLOSE])
def test_killed_before_there_was_any_champion(tracking, model_dir, step):
    with pytest.raises(Killed):
        offer(tracking, model_dir(), watch=killed_at(step))
    assert aliases(tracking) == ({"champion": "1"} if step is Step.CLOSE else {})
    assert offer(tracking, model_dir()).moved
    assert aliases(tracking) == {"champion": "1"} and history(tracking) == [("promote", "1")]


def test_a_rollback_killed_at_any_step_leaves_a_champion_and_is_completed_by_the_next(tracking, model_dir):
    """Rollback after rollback between two versions, each killed at the next step."""
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    now, other = "2", "1"
    for step in ROLLBACK:
        with pytest.raises(Killed):
            go_back(tracking, watch=killed_at(step))
        assert resolve_champion(tracking).version == (other if step is Step.CLOSE else now), step
        if step in DECIDED:
            now, other = other, now
        # Completes that one where it was decided, and goes back from where it led.
        assert go_back(tracking).version == other, step
        now, other = other, now
        assert aliases(tracking) == {"champion": now, "previous_champion": other}, step


WRITES = (
    "create_run",
    "create_registered_model",
    "create_model_version",
    "delete_registered_model_alias",
    "log_artifacts",
    "log_param",
    "log_text",
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_tag",
    "set_terminated",
    "update_model_version",
)


class Writes:
    """Counts what is written to MLflow, and kills before one of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count, self.at = 0, 0
        for name in WRITES:
            patch.setattr(MlflowClient, name, self._watched(getattr(MlflowClient, name)))

    def kill(self, at: int) -> None:
        self.count, self.at = 0, at

    def _watched(self, write: Callable) -> Callable:
        @wraps(write)
        def watched(*args, **kwargs):
            self.count += 1
            if self.count == self.at:
                raise Killed(write.__name__)
            return write(*args, **kwargs)

        return watched


@pytest.mark.slow
def test_killed_at_any_write_a_promotion_is_completed_by_the_next(tracking, model_dir, monkeypatch):
    """Finer than the steps: one candidate after the other, each killed at the next write of a promotion."""
    offer(tracking, model_dir("0"), 10.0)
    offer(tracking, model_dir("1"), 40.0)
    writes = Writes(monkeypatch)
    offer(tracking, model_dir("2"), 40.5)
    number = writes.count
    assert number > 12
    for at in range(1, number + 1):
        before = resolve_champion(tracking).version
        weights, tvg = f"killed-{at}", 41.0 + at
        writes.kill(at)
        with pytest.raises(Killed):
            offer(tracking, model_dir(weights), tvg)
        writes.kill(0)
        left = resolve_champion(tracking)
        assert left.version == before or (left.path / "model.safetensors").read_text() == weights, at
        assert offer(tracking, model_dir(weights), tvg).is_champion, at
        now = resolve_champion(tracking)
        assert (now.path / "model.safetensors").read_text() == weights, at
        assert aliases(tracking)["previous_champion"] == before, at
        assert history(tracking).count(("promote", now.version)) == 1, at


KILL = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from d2vlm_pipeline.registry.steps import Step
from d2vlm_pipeline.tracking import TrackingConfig
from registry.moves import go_back, offer

def watch(step):
    if step.name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

tracking = TrackingConfig.model_validate_json(sys.argv[2])
if sys.argv[4] == "back":
    go_back(tracking, watch=watch)
else:
    offer(tracking, Path(sys.argv[4]), 55.0, watch)
"""


def kill(tracking: TrackingConfig, step: Step, what: str) -> None:
    """A process of its own, ended by SIGKILL before a step."""
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", KILL, tests, tracking.model_dump_json(), step.name, what]
    assert subprocess.run(command, check=False, env={**os.environ}).returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("step", [Step.EVIDENCE, Step.PREVIOUS, Step.CHAMPION])
def test_a_promotion_that_is_really_killed(tracking, model_dir, step):
    offer(tracking, model_dir("first"))
    kill(tracking, step, str(model_dir("second")))
    assert resolve_champion(tracking).version == "1"
    assert offer(tracking, model_dir("second"), 55.0).moved
    assert aliases(tracking) == {"champion": "2", "previous_champion": "1"}


@pytest.mark.slow
def test_a_rollback_that_is_really_killed(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    kill(tracking, Step.CHAMPION, "back")
    assert resolve_champion(tracking).version == "2"
    go_back(tracking)  # completes that one, and goes back from where it led
    assert history(tracking) == [("promote", "1"), ("promote", "2"), ("rollback", "1"), ("rollback", "2")]
