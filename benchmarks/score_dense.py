"""Dense captions of ActivityNet: precision, recall and F1 at ten thresholds, CIDEr at four.

Two reference sets. The public files hold 120 videos; they are taken eight times, under other names, to last
long enough.
Tokenisation is left out on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.score_contest import Contest
from benchmarks.score_loops_dense import Video, found, overlap, video_cider
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions import BENCHMARK
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.localisation import localisation
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.meetings import meetings
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Pairs, Side
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import (
    LAGS_S,
    OFFICIAL,
    TIOUS,
    Captions,
    Dense,
)
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.sentences import video_cider as our_cider
from d2vlm_pipeline.evaluation.benchmarks.records import Files

COPIES = 8
PREDICTIONS = ("bmt_pred", "perturbed_pred")


def contests(folder: Path) -> list[Contest]:
    """One for each file of predictions."""
    files = folder / "activitynet_dvc"
    truths = (files / "val_1.json", files / "val_2.json")
    return [contest(name, files / f"{name}.json", truths) for name in PREDICTIONS]


def contest(name: str, predictions: Path, truths: tuple[Path, ...], copies: int = COPIES) -> Contest:
    """Predictions on reference sets that have the same videos."""
    read = BENCHMARK.read(Files(predictions, truths))
    assert isinstance(read, Dense)
    dense = replace(
        read,
        videos=tuple(f"{video}-{copy}" for copy in range(copies) for video in read.videos),
        told=_copied(read.told, copies),
        references=tuple(_copied(one, copies) for one in read.references),
    )
    told, sets = _plain(dense, dense.told), [_plain(dense, one) for one in dense.references]
    return Contest(
        f"activitynet-captions {name}, F1 and CIDEr",
        len(dense.videos),
        ours=partial(_ours, dense),
        loops=partial(_loops, told, sets),
        same=lambda ours, loops: bool(np.allclose(ours, loops, rtol=0, atol=1e-9)),  # type: ignore[arg-type]
    )


def _ours(dense: Dense) -> list[float]:
    said = Side.of([dense.told[video] for video in dense.videos])
    true = [Side.of([one[video] for video in dense.videos]) for one in dense.references]
    pairs = [Pairs.of(said, one, OFFICIAL.padded_union) for one in true]
    known_SV = np.array([[video in one for video in dense.videos] for one in dense.references])
    precision_KV, recall_KV = localisation(pairs, known_SV, OFFICIAL)
    precision_K, recall_K = precision_KV.mean(axis=1), recall_KV.mean(axis=1)
    f1_K = 2 * precision_K * recall_K / (precision_K + recall_K)
    shares = np.column_stack([precision_K, recall_K, f1_K]).ravel().tolist()
    cider_TV = our_cider(meetings(pairs, OFFICIAL), dense.words, OFFICIAL)
    return [*shares, *cider_TV.mean(axis=1).tolist()]


def _loops(told: dict[str, Video], sets: list[dict[str, Video]]) -> list[float]:
    figures: list[float] = []
    for tiou in TIOUS:
        figures += found(told, sets, lambda said, true, tiou=tiou: overlap(said, true) > tiou)  # type: ignore[misc]
    for lag_s in LAGS_S:
        figures += found(told, sets, lambda said, true, lag_s=lag_s: abs(said[0] - true[0]) < lag_s)  # type: ignore[misc]
    return figures + [video_cider(told, sets, tiou) for tiou in TIOUS]


def _copied(videos: Mapping[str, Captions], copies: int) -> dict[str, Captions]:
    return {f"{video}-{copy}": one for copy in range(copies) for video, one in videos.items()}


def _plain(dense: Dense, videos: Mapping[str, Captions]) -> dict[str, Video]:
    return {
        video: [
            (list(span), text.split())
            for span, text in zip(one.spans, dense.words.tokens(one.texts, True), strict=True)
        ]
        for video, one in videos.items()
    }
