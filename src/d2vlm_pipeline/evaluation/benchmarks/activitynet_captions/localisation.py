"""Precision and recall of the intervals, whatever is said in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Mask, Pairs, best_shares
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import LAGS_S, TIOUS, Rules
from d2vlm_pipeline.evaluation.overlap import Floats


def localisation(pairs: Sequence[Pairs], known_SV: Mask, rules: Rules) -> tuple[Floats, Floats]:
    """Precision and recall [K, V] at each IoU of `TIOUS`, then at each distance of starts of `LAGS_S`."""
    hits = [[one.meeting(tiou, rules.reach, rules.one_to_one) for one in pairs] for tiou in TIOUS]
    hits += [[one.near(lag_s, rules.one_to_one) for one in pairs] for lag_s in LAGS_S]
    shares = [[one.shares(hit_N) for one, hit_N in zip(pairs, masks, strict=True)] for masks in hits]
    best_K2V = np.array([best_shares(one, known_SV, rules.best_apart) for one in shares])
    return best_K2V[:, 0], best_K2V[:, 1]
