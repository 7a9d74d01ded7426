"""How fast preference pairs are made, with the checker and as JSON lines.

    python -m benchmarks.preferences [--samples 600] [--repetitions 5] [--json OUT]

One process, CPU time. Samples as users have them: lists and dense captions of three to eight events, with
captions of their own in a pool of thousands. Of all operators together, of one to three of them a pair, and
of each by itself; what a file of samples costs to read is not in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from benchmarks.timing import interleaved
from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.preferences import (
    OPERATORS,
    SPECS,
    Count,
    DonorPool,
    OperatorWeights,
    PreferenceConfig,
    check_pair,
    synthesize_pairs,
)
from d2vlm_pipeline.timeline import Event, PreferencePair, Sample

GOAL = 5000
"""Pairs a minute on one core, checker and serialisation included, at three or more events a sample."""

_WORDS = (
    "man woman child dog cook player nurse farmer driver painter climber singer",
    "lifts opens washes throws paints cuts carries mends pours folds kicks measures",
    "door bottle ball wall rope basket ladder lamp stone table wheel cup box fence",
    "kitchen garden street field studio yard hall shop cellar barn",
)


def caption(rng: Random) -> str:
    """One of some twenty thousand sentences."""
    words = (rng.choice(each.split()) for each in _WORDS)
    return "the {} {} a {} in the {}".format(*words)


def workload(count: int, seed: int = 0) -> list[Sample]:
    """Alternately lists and dense captions, eight samples a video, three to eight events each."""
    rng = Random(seed)
    return [_sample(k, rng) for k in range(count)]


def _sample(k: int, rng: Random) -> Sample:
    edges_s = sorted(round(rng.uniform(0, 118), 2) for _ in range(rng.randint(3, 8)))
    events = [
        Event(start_s=start_s, end_s=round(start_s + rng.uniform(1.5, 9), 2), caption=caption(rng))
        for start_s in edges_s
    ]
    is_list = k % 2 == 0
    listed = ", ".join(["<evi>"] * (len(events) - 1))
    said = " ".join(f"<evi>, {event.caption}." for event in events)
    return Sample(
        id=f"sample/{k}",
        video=f"video_{k // 8}.mp4",
        task="tal" if is_list else "dvc",
        source="benchmark",
        split="train",
        question="What happens, and when?",
        events=tuple(events),
        answer=f"The action happens in {listed}, and <evi>." if is_list else said,
    )


def configs() -> dict[str, PreferenceConfig]:
    """All operators together, with more factors, and each by itself."""
    alone: dict[str, PreferenceConfig] = {
        operator: PreferenceConfig(
            pairs_per_sample=2,
            weights=OperatorWeights(**{name: float(name == operator) for name in OPERATORS}),
        )
        for operator in OPERATORS
        if {"tal", "dvc"} & set(SPECS[operator].tasks)
    }
    several = PreferenceConfig(pairs_per_sample=4, factors_per_pair=Count(low=1, high=3))
    return {"all": PreferenceConfig(pairs_per_sample=4), "all, 1 to 3 factors": several, **alone}


def written(samples: list[Sample], donors: DonorPool, config: PreferenceConfig) -> list[PreferencePair]:
    """Pairs as they reach a file; the checker runs inside."""
    durations = dict.fromkeys((sample.video for sample in samples), 128.0)
    pairs = list(synthesize_pairs(samples, durations, config, donors))
    "".join(canonical_json(pair) + "\n" for pair in pairs)
    return pairs


def rates(samples: list[Sample], repetitions: int) -> dict[str, float]:
    """Pairs a minute by configuration, and of the checker and of JSON alone."""
    donors = DonorPool.of(samples)
    by_id = {sample.id: sample for sample in samples}
    counts: dict[str, int] = {}
    runs: dict[str, Callable[[], object]] = {}
    for name, config in configs().items():
        counts[name] = len(written(samples, donors, config))
        runs[name] = partial(written, samples, donors, config)
    pairs = written(samples, donors, configs()["all"])
    checked = [(pair, by_id[pair.sample_id]) for pair in pairs]
    runs["checker alone"] = lambda: [check_pair(*each, duration_s=128.0) for each in checked]
    runs["JSON alone"] = lambda: [canonical_json(pair) for pair in pairs]
    counts |= {"checker alone": len(pairs), "JSON alone": len(pairs)}
    seconds = interleaved(runs, repetitions)
    return {name: 60 * counts[name] / spent for name, spent in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = rates(workload(asked.samples), asked.repetitions)
    title = f"pairs a minute on one core, medians of {asked.repetitions}; the goal is {GOAL:,}"
    table = Table("pairs", "a minute", "× goal", title=title)
    for name, rate in found.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / GOAL:.1f}")
    Console(width=110).print(table)
    if asked.json:
        values = {f"{name}/pairs_per_minute": rate for name, rate in found.items()}
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
