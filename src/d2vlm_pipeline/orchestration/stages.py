"""The pipelines of the main job, in the order in which one feeds the next."""

from collections.abc import Iterable

STAGES = ("ingestion", "features", "preferences", "sft", "fpo", "evaluation", "promotion")


def in_order(pipelines: Iterable[str]) -> list[str]:
    """Each name once: the stages in their order, then any others as they sort."""
    names = set(pipelines)
    return [stage for stage in STAGES if stage in names] + sorted(names - set(STAGES))
