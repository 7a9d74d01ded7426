"""The fifty moments at which runs are killed: seeded, at least one inside every node of the main job."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from d2vlm_pipeline.artifacts import derive_seed
from faults.striker import BEFORE, BEHIND, Strike

NUMBER = 50
SEED = 6
# What takes its time, and has processes, a model or a database at work: a clock strikes there as well, as far
# as the number goes.
BY_THE_CLOCK = (
    BEFORE,
    "extract_features",
    "sft.train",
    "fpo.train",
    "promote_model",
    "render_clips",
    "answer_fpo",
    "study_model",
    "gate_samples",
    "probe_videos",
    "write_report",
    BEHIND,
    "score_answers",
    "annotate_clips",
    "audit_pairs",
    "gate_pairs",
    "answer_sft",
    "sample_hard_negatives",
)
# What continuous integration sees: training, and the alias.
SAMPLE = (("sft.train", "seconds"), ("promote_model", "seconds"))


@dataclass(frozen=True)
class Moment:
    """A share of a place's operations or seconds; `everyone`: see `Strike`."""

    place: str
    by: Literal["operations", "seconds"]
    share: float
    everyone: bool

    def strike(self, places: Mapping[str, Mapping[str, Any]]) -> Strike:
        """In a run whose places took what an undisturbed one's did."""
        count = self.share * places[self.place][self.by]
        return Strike(self.place, self.by, int(count) if self.by == "operations" else count, self.everyone)


def moments(nodes: Sequence[str]) -> list[Moment]:
    """All of them, in the order of the run: every place by its operations, and some by the clock."""
    places = (BEFORE, *nodes, BEHIND)
    twice = BY_THE_CLOCK[: NUMBER - len(places)]
    drawn = []
    for place in places:
        for by in ("operations", "seconds"):
            if by == "operations" or place in twice:
                share = random.Random(derive_seed(SEED, "kills", place, by)).uniform(0.0, 1.0)
                drawn.append(Moment(place, by, share, everyone=len(drawn) % 2 == 0))
    return drawn


def chains(drawn: Sequence[Moment], others: int = 5) -> list[list[Moment]]:
    """Sequences of kills in one data root each: the sample, then so many with the rest.

    No chain has two moments in one place: behind the first, the place may be done.
    """
    sample = [moment for moment in drawn if (moment.place, moment.by) in SAMPLE]
    rest = [moment for moment in drawn if moment not in sample]
    return [sample, *(rest[start::others] for start in range(others))]
