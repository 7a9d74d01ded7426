"""SODA over one or several reference sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Ints, Mask, Pairs, Side
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import TIOUS, Rules
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.words import Words
from d2vlm_pipeline.evaluation.captions import shared_meteor
from d2vlm_pipeline.evaluation.captions.soda import (
    matched_as_published,
    matched_in_order,
    soda_a,
    soda_c,
    soda_d,
)
from d2vlm_pipeline.evaluation.overlap import Floats

Cells = tuple[NDArray[Any], ...]
"""Rows and columns of a video's pairs, in order of time."""

PARTS = ("precision", "recall", "f1")
WITH_SENTENCES = ("SODA_c", "SODA_a")
STORIES = (*WITH_SENTENCES, "SODA_d")


def story_scores(
    pairs: Sequence[Pairs], known_SV: Mask, words: Words, rules: Rules, meteor: bool
) -> dict[str, Floats]:
    """SODA c, a and d by video, [V, 3]; of several reference sets the one that gives a video the best F1.

    Without METEOR there is d alone.
    """
    by_set = [_of_set(one, words, rules, meteor, several=len(pairs) > 1) for one in pairs]
    return {name: _best(np.array([found[name] for found in by_set]), known_SV) for name in by_set[0]}


def _best(shares_SV3: Floats, known_SV: Mask) -> Floats:
    set_V = np.where(known_SV, shares_SV3[:, :, 2], -1.0).argmax(axis=0)
    return shares_SV3[set_V, np.arange(shares_SV3.shape[1])]


def _of_set(pairs: Pairs, words: Words, rules: Rules, meteor: bool, several: bool) -> dict[str, Floats]:
    told = _in_order(pairs.said, rules)
    true = _as_filed(pairs.true) if several and rules.story_unsorted else _in_order(pairs.true, rules)
    cells = [np.ix_(p, g) for p, g in zip(told, true, strict=True)]
    iou = [pairs.matrix(pairs.iou_N, video)[cell] for video, cell in enumerate(cells)]
    found = {}
    if meteor:
        score_N = _caption_scores(pairs, _wanted(pairs, cells, iou, rules), words, rules)
        score = [pairs.matrix(score_N, video)[cell] for video, cell in enumerate(cells)]
        matching = matched_as_published if rules.story_border else matched_in_order
        found = {"SODA_c": soda_c(iou, score), "SODA_a": soda_a(iou, score, TIOUS, matching)}
    return found | {"SODA_d": soda_d(iou)}


def _in_order(side: Side, rules: Rules) -> list[list[int]]:
    """Places of each video's captions in order of time.

    What starts together is ordered by end and text, so that the order of the file does not matter; or left
    in the order of the file.
    """
    spans = side.span_M2.tolist()

    def key(place: int) -> tuple[object, ...]:
        start_s, end_s = spans[place]
        return (start_s,) if rules.story_unsorted else (start_s, end_s, side.texts[place])

    return [
        [place - start for place in sorted(range(start, start + count), key=key)]
        for start, count in zip(side.start_V.tolist(), side.count_V.tolist(), strict=True)
    ]


def _as_filed(side: Side) -> list[list[int]]:
    return [list(range(count)) for count in side.count_V.tolist()]


def _wanted(pairs: Pairs, cells: Sequence[Cells], iou: Sequence[Floats], rules: Rules) -> Ints:
    """Pairs whose caption score can count: those that overlap, and at the border maybe others."""
    number_N = np.arange(len(pairs.iou_N))
    wanted = [number_N[:0]]
    for video, (cell, iou_PG) in enumerate(zip(cells, iou, strict=True)):
        wanted_PG = iou_PG > 0
        if rules.story_border:
            wanted_PG[:1] = True
            wanted_PG[:, :1] = True
        wanted.append(pairs.matrix(number_N, video)[cell][wanted_PG])
    return np.concatenate(wanted)


def _caption_scores(pairs: Pairs, wanted: Ints, words: Words, rules: Rules) -> Floats:
    """METEOR [N] of the pairs wanted, 0 for all others."""
    said = words.tokens(pairs.said.texts, rules.ascii_only)
    true = words.tokens(pairs.true.texts, rules.ascii_only)
    captions = [said[place] for place in pairs.said_N[wanted].tolist()]
    events = [true[place] for place in pairs.true_N[wanted].tolist()]
    references, candidates = (captions, events) if rules.story_exchanged else (events, captions)
    score_N = np.zeros(len(pairs.iou_N))
    score_N[wanted] = shared_meteor().score([[text] for text in references], candidates)[0]
    return score_N
