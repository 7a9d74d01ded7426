"""What happens when: dense captions, steps, timed captions, and the caption of a given region.

`cap_f1` judges the intervals alone, `cap_sim` the captions of the intervals that found their event. The
control `cap_sim_shuffled` keeps the intervals and gives each a caption from another clip: what generic
wording earns.
"""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.contributions import (
    Contribution,
    Embed,
    MetricContext,
    at_thresholds,
    mean_of,
)
from d2vlm_pipeline.evaluation.grounding import F1_OF_MEANS, answer_form, present, rule_contribution
from d2vlm_pipeline.evaluation.overlap import Floats, iou, one_to_one
from d2vlm_pipeline.evaluation.pairs import SUFFIX, Half, Pair, plain_caption

_DENSE_TASKS = ("dvc", "slc", "tvc")
_Captions = Sequence[Sequence[str]]


def dense_caption_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """dvc, slc, tvc: `cap_f1`, `cap_f1@τ`, `cap_sim`, `cap_sim_shuffled`; all videos stay in the means."""
    metrics: dict[str, Contribution] = {}
    shown = present(pairs)
    for half, suffix in SUFFIX.items() if shown else ():
        metrics[f"cap_f1{suffix}"] = rule_contribution(shown, half, context.thresholds, F1_OF_MEANS)
        for name, threshold in zip(
            at_thresholds("cap_f1", context.thresholds), context.thresholds, strict=True
        ):
            metrics[name + suffix] = rule_contribution(shown, half, (threshold,), F1_OF_MEANS)
        if context.embed is not None:
            metrics |= _dense_similarity(shown, half, suffix, context, context.embed)
    return metrics | answer_form(pairs)


def caption_texts(pairs: Sequence[Pair]) -> set[str]:
    """All captions whose likeness the metrics here ask for, of samples of any task that has captions."""
    regions = [pair for pair in pairs if pair.sample.task == "rvc"]
    dense = present([pair for pair in pairs if pair.sample.task in _DENSE_TASKS])
    told = [_region_captions(regions), *(_dense_captions(dense, half) for half in SUFFIX)]
    return {text for sides in told for side in sides for captions in side for text in captions if text}


def region_caption_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """rvc: `cap_sim` of the whole answer, and its shuffled control."""
    if context.embed is None or not pairs:
        return {}
    said, truth = _region_captions(pairs)
    shuffled = shuffle_across_clips(pairs, said, context.seed)
    metrics = {}
    for name, captions in (("cap_sim", said), ("cap_sim_shuffled", shuffled)):
        cosines = caption_cosines(captions, truth, context.embed)
        metrics[name] = mean_of(pairs, [float(cos_PG.sum()) for cos_PG in cosines])
    return metrics


def _dense_similarity(
    pairs: Sequence[Pair], half: Half, suffix: str, context: MetricContext, embed: Embed
) -> dict[str, Contribution]:
    said, truth = _dense_captions(pairs, half)
    ious = [iou(pair.intervals_P2(half), pair.truth_G2) for pair in pairs]
    shuffled = shuffle_across_clips(pairs, said, context.seed)
    metrics = {}
    for name, captions in (("cap_sim", said), ("cap_sim_shuffled", shuffled)):
        cosines = caption_cosines(captions, truth, embed)
        values = [
            matched_similarity(iou_PG, cos_PG, context.thresholds)
            for iou_PG, cos_PG in zip(ious, cosines, strict=True)
        ]
        metrics[name + suffix] = mean_of(pairs, values)
    return metrics


def _region_captions(pairs: Sequence[Pair]) -> tuple[_Captions, _Captions]:
    """What was said of each sample, and what is true."""
    said = [[plain_caption(pair.text)] if pair.parsed else [] for pair in pairs]
    return said, [[plain_caption(pair.sample.answer)] for pair in pairs]


def _dense_captions(pairs: Sequence[Pair], half: Half) -> tuple[_Captions, _Captions]:
    """The same, of the events in one half of the answers."""
    truth = [[plain_caption(event.caption) for event in pair.sample.events] for pair in pairs]
    return [pair.captions(half) for pair in pairs], truth


def matched_similarity(iou_PG: Floats, cos_PG: Floats, thresholds: Sequence[float]) -> float:
    """Mean over thresholds of the mean cosine over matched pairs and whatever is left unmatched.

    Matching is one to one at IoU >= τ; whatever is left over on either side counts as 0, so that neither
    silence nor chatter raises the score. 0 without truth and prediction.
    """
    means = []
    for threshold in thresholds:
        matches = one_to_one(iou_PG, threshold)
        entries = sum(iou_PG.shape) - len(matches)
        means.append(sum(float(cos_PG[match]) for match in matches) / max(entries, 1))
    return sum(means) / len(means)


def caption_cosines(
    said: Sequence[Sequence[str]], truth: Sequence[Sequence[str]], embed: Embed
) -> list[Floats]:
    """Cosine matrix [P, G] of each sample, in [0, 1]: below 0 counts as 0, and so does an empty caption."""
    unique = sorted({text for captions in (*said, *truth) for text in captions if text})
    vectors_ND = embed(unique) if unique else np.zeros((0, 1))
    # The last row is the empty caption: the zero vector, similar to nothing.
    vectors_ND = np.concatenate([vectors_ND, np.zeros((1, vectors_ND.shape[1]))])
    row = {text: index for index, text in enumerate(unique)} | {"": len(unique)}
    return [
        np.clip(vectors_ND[[row[text] for text in p]] @ vectors_ND[[row[text] for text in g]].T, 0.0, 1.0)
        for p, g in zip(said, truth, strict=True)
    ]


def shuffle_across_clips(
    pairs: Sequence[Pair], captions: Sequence[Sequence[str]], seed: int
) -> list[list[str]]:
    """Give every caption slot a caption that the same system said about another clip, drawn with `seed`.

    A slot gets the empty caption where no other clip has any. Each sample draws from its own stream, so
    that the control does not depend on the order of samples.
    """
    order = sorted(range(len(pairs)), key=lambda index: (pairs[index].sample.video, pairs[index].sample.id))
    pool: list[str] = []
    start: dict[str, int] = {}
    end: dict[str, int] = {}
    for index in order:
        video = pairs[index].sample.video
        start.setdefault(video, len(pool))
        pool += captions[index]
        end[video] = len(pool)
    return [
        _draw_elsewhere(
            pool, start[pair.sample.video], end[pair.sample.video], len(own), pair.sample.id, seed
        )
        for pair, own in zip(pairs, captions, strict=True)
    ]


def _draw_elsewhere(
    pool: Sequence[str], start: int, end: int, count: int, sample_id: str, seed: int
) -> list[str]:
    """`count` captions from outside the clip's own stretch [start, end) of the pool."""
    elsewhere = len(pool) - (end - start)
    if elsewhere == 0:
        return [""] * count
    rng = np.random.default_rng(derive_seed(seed, "shuffled captions", sample_id))
    draws = (int(draw) for draw in rng.integers(elsewhere, size=count))
    return [pool[draw if draw < start else draw + end - start] for draw in draws]
