"""YouCook2's part of `benchmarks.score`: F1 and CIDEr of 215 videos; captions are tokenised beforehand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import score_loops_youcook2 as loops
from benchmarks.score_contest import Contest
from d2vlm_pipeline.evaluation.benchmarks.records import Files
from d2vlm_pipeline.evaluation.benchmarks.youcook2 import BENCHMARK, Cooking, DenseRules, read
from d2vlm_pipeline.evaluation.benchmarks.youcook2.pairing import Edges, meetings
from d2vlm_pipeline.evaluation.benchmarks.youcook2.scoring import found_events
from d2vlm_pipeline.evaluation.benchmarks.youcook2.wording import Wording
from d2vlm_pipeline.evaluation.captions import ptb_tokenize

PREDICTIONS = ("timechat_pred", "perturbed_pred")


def contests(folder: Path) -> list[Contest]:
    """One for each file of predictions."""
    home = folder / "youcook2_dvc"
    return [contest(name, home / f"{name}.json", home / "val.gt.json") for name in PREDICTIONS]


def contest(name: str, predictions: Path, truth: Path) -> Contest:
    """Our figures against the loops'; tokens, which ours finds in its cache, are timed on neither side."""
    cooking = read(Files(predictions, (truth,)))
    told = [
        loops.Told(
            list(zip(video.truth, ptb_tokenize(video.captions), strict=True)),
            list(zip(video.said, ptb_tokenize(video.told), strict=True)),
        )
        for video in cooking.videos
    ]
    return Contest(
        name=f"youcook2 {name}, F1 and CIDEr",
        queries=len(told),
        ours=partial(figures, cooking, BENCHMARK.protocols["official"].rules),
        loops=partial(loops.scored, told),
        same=_same,
    )


def figures(cooking: Cooking, rules: DenseRules) -> dict[str, float]:
    """What the public script would report but for METEOR and SODA."""
    edges = Edges.of(cooking.videos, rules)
    met = [meetings(edges, threshold, rules) for threshold in rules.thresholds]
    words = Wording(cooking.videos, edges, [told_E for _, told_E in met])
    values = found_events(edges, [found_E for found_E, _ in met], rules) | words.cider(rules)
    return {name: 100 * float(np.mean(value_V)) for name, value_V in values.items()}


def _same(ours: object, theirs: object) -> bool:
    assert isinstance(ours, dict) and isinstance(theirs, dict)
    return all(abs(ours[name] - value) < 1e-8 for name, value in theirs.items())
