"""From true samples to preference pairs, one at a time.

What is drawn for a sample depends on its id, the configured seed, the operator version and the donor pool,
never on its place among the others: any order, subset or number of workers gives the same pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from d2vlm_pipeline.artifacts import UserError, derive_seed
from d2vlm_pipeline.preferences.boundaries import shift
from d2vlm_pipeline.preferences.checker import check_pair
from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, SPECS, Operator, PreferenceConfig
from d2vlm_pipeline.preferences.donors import DonorPool
from d2vlm_pipeline.preferences.event_set import add, delete, merge
from d2vlm_pipeline.preferences.scene import Edit, NotApplicable, Scene
from d2vlm_pipeline.preferences.statistics import PairStatistics
from d2vlm_pipeline.preferences.text import distort, repeat
from d2vlm_pipeline.timeline import FactorRecord, PreferencePair, Sample

_LOGGER = logging.getLogger(__name__)

OPERATOR_FUNCTIONS: dict[Operator, Callable[[Scene, Random], Edit | NotApplicable]] = {
    "shift": shift,
    "add": add,
    "delete": delete,
    "merge": merge,
    "distort": distort,
    "repeat": repeat,
}


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
) -> Iterator[PreferencePair]:
    """Yield the preference pairs of each sample, in the order of the samples.

    Args:
        samples: true samples, read as a stream if `donors` is given.
        durations: length of each video in seconds.
        config: operators, weights, limits and seed.
        donors: words to borrow; those of `samples` where not given, which then all have to fit in memory.
        statistics: counts what was made, what was skipped and why, and what the checker found.

    A pair in which the checker finds a fault is counted and held back.

    Raises:
        UserError: a sample's video has no duration.
    """
    if donors is None:
        samples = list(samples)
        donors = DonorPool.of(samples)
    counted = PairStatistics() if statistics is None else statistics
    for sample in samples:
        if sample.video not in durations:
            raise UserError(
                f"sample {sample.id}: no duration for video {sample.video}; run the ingestion pipeline on it"
            )
        scene = Scene(sample, durations[sample.video], donors, config)
        pairs, skipped = _pairs_of(scene)
        sound = [pair for pair in pairs if not _reported(pair, scene, counted)]
        counted.add_sample(sample, sound, skipped)
        yield from sound


def _pairs_of(scene: Scene) -> tuple[list[PreferencePair], list[Skipped]]:
    """Up to the wanted number of different pairs, going round the operators in a weighted random order."""
    order = _drawn_order(scene)
    made: dict[str, PreferencePair] = {}
    skipped: dict[Operator, str] = {}
    for turn in range(scene.config.pairs_per_sample):
        for operator in order:
            if len(made) == scene.config.pairs_per_sample or operator in skipped:
                continue
            outcome = _apply(operator, scene, turn)
            if isinstance(outcome, NotApplicable):
                skipped[operator] = outcome.reason
            else:
                made.setdefault(_signature(outcome), outcome)
    return list(made.values()), [Skipped(operator, reason) for operator, reason in skipped.items()]


def _drawn_order(scene: Scene) -> list[Operator]:
    """The operators of the sample's task in a weighted draw without replacement, heavy ones early."""
    config = scene.config
    rng = Random(derive_seed(config.seed, "preferences", OPERATOR_VERSION, scene.sample.id, "order"))
    keys = {
        operator: rng.random() ** (1 / config.weights.of(operator))
        for operator, spec in SPECS.items()
        if scene.sample.task in spec.tasks and config.weights.of(operator) > 0
    }
    return sorted(keys, key=keys.__getitem__, reverse=True)


def _apply(operator: Operator, scene: Scene, turn: int) -> PreferencePair | NotApplicable:
    seed = derive_seed(scene.config.seed, "preferences", OPERATOR_VERSION, scene.sample.id, operator, turn)
    edit = OPERATOR_FUNCTIONS[operator](scene, Random(seed))
    if isinstance(edit, NotApplicable):
        return edit
    factor = FactorRecord(
        operator=operator, axis=SPECS[operator].axis, magnitude=edit.magnitude, event_ids=edit.event_ids
    )
    return PreferencePair(
        id=f"{scene.sample.id}/{operator}/{turn}",
        sample_id=scene.sample.id,
        chosen=scene.truth,
        rejected=edit.rejected,
        factors=(factor,),
        seed=seed,
        operator_version=OPERATOR_VERSION,
    )


def _signature(pair: PreferencePair) -> str:
    """Equal for pairs that reject the same response."""
    return pair.rejected.model_dump_json()


def _reported(pair: PreferencePair, scene: Scene, statistics: PairStatistics) -> bool:
    """Whether the checker found a fault, which is then on record."""
    problems = check_pair(pair, scene.sample, duration_s=scene.duration_s)
    if problems:
        _LOGGER.warning("preference pair %s held back: %s", pair.id, "; ".join(problems))
        statistics.add_problems(pair, problems)
    return bool(problems)
