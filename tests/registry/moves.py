"""Moves of an alias that are killed, and what is left then."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from d2vlm_pipeline.registry import Dossier, Policy, promote, read_audit, rollback
from d2vlm_pipeline.registry.steps import Step, Watch, unwatched
from d2vlm_pipeline.registry.versions import version_at
from d2vlm_pipeline.timeline import ModelRef, Prediction
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from registry.records import dossier, policy

ALIASES = ("champion", "previous_champion", "challenger")


class Killed(BaseException):
    """A process that ends here and now; nothing may catch it."""


def killed_at(step: Step) -> Watch:
    """Dies before that step."""

    def watch(now: Step) -> None:
        if now == step:
            raise Killed(step)

    return watch


@dataclass
class Seen:
    """Notes every step."""

    steps: list[Step] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        self.steps.append(step)


def answered(_: Path, ref: ModelRef, question: str) -> Prediction:
    """A model that answers whatever it is asked."""
    return Prediction(
        video="clip.mp4",
        system="tiny",
        question=question,
        answer="From 1.0 to 2.0.",
        raw="",
        parsed=True,
        timebase_digest="t",
        model=ref,
    )


def pack_lightly(directory: Path, target: Path) -> None:
    """A version without MLflow's part, which takes a second to write."""
    shutil.copytree(directory, target / "artifacts" / directory.name)


def go_back(tracking: TrackingConfig, version: str | None = None, watch: Watch = unwatched, **more):
    return rollback(tracking, version=version, watch=watch, ask=answered, **more)


def offer(
    tracking: TrackingConfig,
    directory: Path,
    tvg: float = 50.0,
    watch: Watch = unwatched,
    rules: Policy | None = None,
    about: Dossier | None = None,
):
    return promote(directory, about or dossier(tvg=tvg), rules or policy(), tracking, watch=watch)


def aliases(tracking: TrackingConfig) -> dict[str, str]:
    """Versions by alias."""
    client = tracking_client(tracking)
    held = {alias: version_at(client, tracking, alias) for alias in ALIASES}
    return {alias: str(version.version) for alias, version in held.items() if version is not None}


def history(tracking: TrackingConfig) -> list[tuple[str, str]]:
    """What was done to which version."""
    return [(entry.action, entry.version) for entry in read_audit(tracking)]
