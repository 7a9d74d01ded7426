"""From true samples to preference pairs, one at a time.

What is drawn for a sample depends on its id, the configured seed, the operator version, the epoch and the
donor pool, never on its place among the others: any order, subset or number of workers gives the same pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from d2vlm_pipeline.artifacts import UserError, derive_seed
from d2vlm_pipeline.preferences.boundaries import resize, shift, wrong_evidence
from d2vlm_pipeline.preferences.checker import check_pair
from d2vlm_pipeline.preferences.config import (
    OPERATOR_VERSION,
    ROUNDING_S,
    SPECS,
    Operator,
    PreferenceConfig,
)
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.event_set import add, delete, merge, reorder, split
from d2vlm_pipeline.preferences.scene import NO_PARTNER, Edit, NotApplicable, Scene
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.text import distort, repeat, swap_option, wrong_text
from d2vlm_pipeline.timeline import FactorRecord, PreferencePair, Sample

_LOGGER = logging.getLogger(__name__)

OPERATOR_FUNCTIONS: dict[Operator, Callable[[Scene, Random], Edit | NotApplicable]] = {
    "shift": shift,
    "add": add,
    "delete": delete,
    "merge": merge,
    "distort": distort,
    "repeat": repeat,
    "resize": resize,
    "split": split,
    "reorder": reorder,
    "swap_option": swap_option,
    "wrong_evidence": wrong_evidence,
    "wrong_text": wrong_text,
}

# What a pair can be wrong in at once, in the order of editing: events are counted anew last of all, so that
# the other records speak of events that are there.
_TURNS: tuple[frozenset[str], ...] = (
    frozenset({"boundaries"}),
    frozenset({"text", "option"}),
    frozenset({"event_set"}),
)
_ATTEMPTS = 8

Team = list[tuple[Operator, Edit]]


class Skipped(NamedTuple):
    """An operator that was drawn for a sample and did not apply."""

    operator: Operator
    reason: str


def synthesize_pairs(
    samples: Iterable[Sample],
    durations: Mapping[str, float],
    config: PreferenceConfig,
    donors: DonorPool | None = None,
    statistics: PairStatistics | None = None,
    epochs: Iterable[int] | None = None,
) -> Iterator[PreferencePair]:
    """Yield the preference pairs of each sample, in the order of the samples.

    Args:
        samples: true samples, read as a stream if `donors` is given.
        durations: length of each video in seconds.
        config: operators, weights, limits and seed.
        donors: words to borrow; those of `samples` where not given, which then all have to fit in memory.
        statistics: counts what was made, what was skipped and why, and what the checker found.
        epochs: which sets to draw; all that the configuration asks for where not given.

    A pair in which the checker finds a fault is counted and held back.

    Raises:
        UserError: a sample's video has no duration, or one shorter than its events.
    """
    if donors is None:
        samples = list(samples)
        donors = DonorPool.of(samples)
    counted = PairStatistics() if statistics is None else statistics
    drawn = tuple(range(config.epochs) if epochs is None else epochs)
    for sample in samples:
        scene = Scene(sample, _duration_of(sample, durations), donors, config)
        made = [_pairs_of(scene, epoch) for epoch in drawn]
        sound = [pair for pairs, _ in made for pair in pairs if not _reported(pair, scene, counted)]
        counted.add_sample(sample, sound, [each for _, skipped in made for each in skipped])
        yield from sound


def _duration_of(sample: Sample, durations: Mapping[str, float]) -> float:
    duration_s = durations.get(sample.video)
    if duration_s is None:
        raise UserError(
            f"sample {sample.id}: no duration for video {sample.video}; run the ingestion pipeline on it, or "
            "name its length"
        )
    last_s = max((event.end_s for event in sample.events), default=0.0)
    if last_s > duration_s + ROUNDING_S:
        raise UserError(
            f"sample {sample.id}: an event ends at {last_s} s, but {sample.video} lasts {duration_s} s; "
            "correct one of them"
        )
    return duration_s


def _pairs_of(scene: Scene, epoch: int) -> tuple[list[PreferencePair], list[Skipped]]:
    """Up to the wanted number of different pairs, going round the operators in a weighted random order."""
    order = _drawn_order(scene, epoch)
    made: dict[str, PreferencePair] = {}
    skipped: dict[Operator, str] = {}
    for turn in range(scene.config.pairs_per_sample):
        for operator in order:
            if len(made) == scene.config.pairs_per_sample or operator in skipped:
                continue
            outcome = _apply(operator, order, scene, turn, epoch)
            if isinstance(outcome, NotApplicable):
                skipped[operator] = outcome.reason
            else:
                made.setdefault(outcome.rejected.model_dump_json(), outcome)
    return list(made.values()), [Skipped(operator, reason) for operator, reason in skipped.items()]


def _drawn_order(scene: Scene, epoch: int) -> list[Operator]:
    """The operators of the sample's task in a weighted draw without replacement, heavy ones early."""
    weights = scene.config.weights
    rng = Random(_seed(scene, epoch, "order"))
    keys = {
        operator: rng.random() ** (1 / weights.of(operator))
        for operator, spec in SPECS.items()
        if scene.sample.task in spec.tasks and weights.of(operator) > 0
    }
    return sorted(keys, key=keys.__getitem__, reverse=True)


def _seed(scene: Scene, epoch: int, *names: str | int) -> int:
    redrawn = ("epoch", epoch) if epoch else ()
    return derive_seed(
        scene.config.seed, "preferences", OPERATOR_VERSION, scene.sample.id, *redrawn, *names
    )


def _apply(
    operator: Operator, order: list[Operator], scene: Scene, turn: int, epoch: int
) -> PreferencePair | NotApplicable:
    """A pair led by one operator."""
    seed = _seed(scene, epoch, operator, turn)
    rng = Random(seed)
    edit = OPERATOR_FUNCTIONS[operator](scene, rng)
    if isinstance(edit, NotApplicable):
        return edit
    alone = _pair([(operator, edit)], scene, seed, turn, epoch)
    wanted = scene.config.factors_per_pair
    count = wanted.draw(rng, len(_TURNS)) or wanted.low
    for _ in range(_ATTEMPTS if count > 1 else 0):
        team = _team(operator, order, scene, count, rng)
        # Words that two operators borrow may happen to undo each other: such a pair is drawn again.
        if len(team) >= wanted.low and len(team) > 1:
            together = _pair(team, scene, seed, turn, epoch)
            if not check_pair(together, scene.sample, duration_s=scene.duration_s):
                return together
    return alone if wanted.low == 1 else NO_PARTNER


def _team(lead: Operator, order: list[Operator], scene: Scene, count: int, rng: Random) -> Team:
    """Up to so many operators that all apply one after the other, each on an axis of its own."""
    chosen = {_turn(lead): lead}
    for partner in rng.sample(order, len(order)):
        if len(chosen) < count:
            chosen.setdefault(_turn(partner), partner)
    team: Team = []
    for _, operator in sorted(chosen.items()):
        edit = OPERATOR_FUNCTIONS[operator](scene, rng)
        if isinstance(edit, Edit):
            team.append((operator, edit))
            scene = scene.after(edit)
    return team if any(operator == lead for operator, _ in team) else []


def _turn(operator: Operator) -> int:
    return next(turn for turn, axes in enumerate(_TURNS) if SPECS[operator].axis in axes)


def _pair(team: Team, scene: Scene, seed: int, turn: int, epoch: int) -> PreferencePair:
    name = "+".join(operator for operator, _ in team)
    return PreferencePair(
        id=f"{scene.sample.id}/{name}/{turn}" + (f"/epoch{epoch}" if epoch else ""),
        sample_id=scene.sample.id,
        chosen=scene.truth,
        rejected=team[-1][1].rejected,
        factors=tuple(
            FactorRecord(
                operator=operator,
                axis=edit.axis or SPECS[operator].axis,
                magnitude=edit.magnitude,
                event_ids=edit.event_ids,
            )
            for operator, edit in team
        ),
        seed=seed,
        operator_version=OPERATOR_VERSION,
        epoch=epoch,
    )


def _reported(pair: PreferencePair, scene: Scene, statistics: PairStatistics) -> bool:
    """Whether the checker found a fault, which is then on record."""
    problems = check_pair(pair, scene.sample, duration_s=scene.duration_s)
    if problems:
        _LOGGER.warning("preference pair %s held back: %s", pair.id, "; ".join(problems))
        statistics.add_problems(pair, problems)
    return bool(problems)
