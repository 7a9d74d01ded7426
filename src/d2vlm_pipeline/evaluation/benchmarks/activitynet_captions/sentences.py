"""What captions are worth as sentences, where they meet an event: METEOR, CIDEr, ROUGE-L and BLEU.

A video's figure at a threshold is that of its captions which are compared with something, times their share
of its captions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.meetings import Meetings
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.pairs import Ints
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import TIOUS, Rules
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.words import Words
from d2vlm_pipeline.evaluation.captions import bleu, cider, rouge_l, shared_meteor
from d2vlm_pipeline.evaluation.overlap import Floats

BLEUS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4")


def sentence_scores(met: Meetings, words: Words, rules: Rules, meteor: bool) -> dict[str, Floats]:
    """Each metric by threshold of `TIOUS` and video, [T, V]; METEOR only where it can run."""
    once, earlier_G = met.once()
    items = _items(once, words, rules)
    found: dict[str, Floats] = {}
    if meteor:
        _, meteor_G = shared_meteor().score(items.references, items.candidates, items.group_I.tolist())
        found["METEOR"] = _padded(meteor_G, met.groups)
    if rules.document == "benchmark":
        found["CIDEr"] = _corpus_cider(once, words, rules)
    found["CIDEr" if rules.document == "video" else "CIDEr_per_video"] = _video_cider(once, items)
    found["Rouge-L"] = _mean(rouge_l(items.references, items.candidates), items.group_I, met.groups)
    bleu_GO = _padded(bleu(items.references, items.candidates, items.group_I.tolist()), met.groups)
    found |= dict(zip(BLEUS, bleu_GO.T, strict=True))
    return {name: _by_video(score_G[earlier_G], met) for name, score_G in found.items()}


def video_cider(met: Meetings, words: Words, rules: Rules) -> Floats:
    """CIDEr by threshold of `TIOUS` and video, [T, V], rarity taken from what captions of the video met."""
    once, earlier_G = met.once()
    return _by_video(_video_cider(once, _items(once, words, rules))[earlier_G], met)


@dataclass(frozen=True)
class _Items:
    """What is compared: tokenised references, caption and group of each item."""

    references: list[list[str]]
    candidates: list[str]
    group_I: Ints


def _items(met: Meetings, words: Words, rules: Rules) -> _Items:
    """Items of every caption and event that met; one to one, a caption's events of all sets are one item."""
    said, true = _tokens(met, words, rules)
    compared = [true[sentence] for sentence in met.sentence_M.tolist()]
    if not rules.one_to_one:
        candidates = [said[caption] for caption in met.said_M.tolist()]
        return _Items([[text] for text in compared], candidates, met.group_of(met.threshold_M, met.said_M))
    key_K, place_M = met.caption_K
    references: list[list[str]] = [[] for _ in key_K]
    for place, text in zip(place_M.tolist(), compared, strict=True):
        references[place].append(text)
    threshold_K, said_K = np.divmod(key_K, max(len(said), 1))
    candidates = [said[caption] for caption in said_K.tolist()]
    return _Items(references, candidates, met.group_of(threshold_K, said_K))


def _tokens(met: Meetings, words: Words, rules: Rules) -> tuple[list[str], list[str]]:
    return words.tokens(met.said.texts, rules.ascii_only), words.tokens(met.sentences, rules.ascii_only)


def _video_cider(met: Meetings, items: _Items) -> Floats:
    score_I = cider(items.references, items.candidates, items.group_I.tolist())
    return _mean(score_I, items.group_I, met.groups)


def _corpus_cider(met: Meetings, words: Words, rules: Rules) -> Floats:
    """Mean CIDEr-D [G], rarity taken from all events of a reference set, met or not.

    One to one, a caption counts once, with the mean over the sets in which it met an event.
    """
    said, true = _tokens(met, words, rules)
    score_M = cider(
        [[true[sentence]] for sentence in met.sentence_M.tolist()],
        [said[caption] for caption in met.said_M.tolist()],
        met.set_M.tolist(),
        documents=[[event] for event in true[: len(met.set_E)]],
        document_groups=met.set_E.tolist(),
    )
    place_M = met.caption_K[1]
    weight_M = 1.0 / np.bincount(place_M)[place_M] if rules.one_to_one else np.ones(len(place_M))
    group_M = met.group_of(met.threshold_M, met.said_M)
    weight_G = np.bincount(group_M, weight_M, minlength=met.groups)
    total_G = np.bincount(group_M, weight_M * score_M, minlength=met.groups)
    return np.divide(total_G, weight_G, out=np.zeros(met.groups), where=weight_G > 0)


def _by_video(score_G: Floats, met: Meetings) -> Floats:
    return (score_G * met.share_G).reshape(len(TIOUS), -1)


def _mean(values_I: Floats, group_I: Ints, groups: int) -> Floats:
    count_G = np.bincount(group_I, minlength=groups)
    return np.bincount(group_I, values_I, minlength=groups) / np.maximum(count_G, 1)


def _padded(scores_G: Floats, groups: int) -> Floats:
    """The last groups may have no item, and then no score."""
    padded = np.zeros((groups, *scores_G.shape[1:]))
    padded[: len(scores_G)] = scores_G
    return padded
