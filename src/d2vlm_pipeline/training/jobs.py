"""Which job a phase is: what its checkpoints are told apart by."""

from __future__ import annotations

from collections.abc import Callable

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.artifacts.code import code_digest
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.training.checkpoints import FolderPlace, Job
from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.fingerprint import fingerprint
from d2vlm_pipeline.training.progress import Progress

_TRAINS = ("d2vlm_pipeline.training.phases", "d2vlm_pipeline.training.warm_up")
# Where things lie and how many threads compute them is no reason to start over.
_MOVES_NOTHING = {"checkpoints", "replay_dir", "threads"}


def progress_of(
    phase: str, start: ModelBundle, config: LoopConfig, examples: Callable[[], str], workers: int
) -> Progress | None:
    """Checkpoints of a phase, if it is to make any.

    Args:
        phase: Its name.
        start: The model before its first step.
        config: Of the phase.
        examples: Digest of what it trains on.
        workers: How many train.
    """
    if config.checkpoints is None:
        return None
    job = Job(
        configuration=digest_json([phase, config.model_dump(mode="json", exclude=_MOVES_NOTHING)]),
        start_model=fingerprint([digest_json(start.model.config), dict(start.model.state_dict())]),
        examples=examples(),
        code=code_digest(_TRAINS),
        workers=workers,
    )
    place = FolderPlace(phase, job, config.checkpoints)
    return Progress(place, config.checkpoints.every_steps, config.steps)
