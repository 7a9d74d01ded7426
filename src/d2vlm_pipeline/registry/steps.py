"""The steps of moving an alias, in their order: whatever happens at one of them, a champion is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum


class Step(StrEnum):
    """One step. Everything before `APPEND` can be repeated, everything after it follows from the log."""

    LOCK = "take the lock"
    READ_LOG = "read the log"
    FINISH = "finish what was broken off"
    DECIDE = "decide"
    REGISTER = "register and sign"
    EVIDENCE = "keep the evidence"
    DESCRIBE = "describe the version"
    VERIFY = "verify the target"
    SMOKE = "ask the target a question"
    APPEND = "append to the log"
    PREVIOUS = "set the former champion's alias"
    CHALLENGER = "set the challenger's alias"
    CHAMPION = "set the champion's alias"
    CLOSE = "close the entry"


_FOLLOWING = (Step.PREVIOUS, Step.CHALLENGER, Step.CHAMPION, Step.CLOSE)
PROMOTION = (
    *(Step.LOCK, Step.READ_LOG, Step.FINISH, Step.DECIDE, Step.REGISTER, Step.EVIDENCE, Step.DESCRIBE),
    *(Step.APPEND, *_FOLLOWING),
)
ROLLBACK = (
    *(Step.LOCK, Step.READ_LOG, Step.FINISH, Step.VERIFY, Step.SMOKE),
    *(Step.APPEND, *_FOLLOWING),
)

Watch = Callable[[Step], None]
"""Is told of every step before it is taken."""


def unwatched(_: Step) -> None:
    """Nobody watches."""


def take_steps(steps: Sequence[Step], work: Mapping[Step, Callable[[], object]], watch: Watch) -> None:
    """Take steps one after the other; work that returns False has found that there is no more to do."""
    for step in steps:
        watch(step)
        if work[step]() is False:
            return
