"""What happens when: dvc and slc, events with captions."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.etbench.figures import THRESHOLDS, Figure, Part, mean_of
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Item
from d2vlm_pipeline.evaluation.benchmarks.etbench.located import overlaps, reaching
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ETBenchRules
from d2vlm_pipeline.evaluation.benchmarks.etbench.said import described_of, scores_evidence
from d2vlm_pipeline.evaluation.benchmarks.etbench.tables import (
    Flags,
    Ints,
    PairTables,
    met,
    pair_tables,
    precision_recall,
)
from d2vlm_pipeline.evaluation.benchmarks.etbench.tools import METEOR, CaptionTools
from d2vlm_pipeline.evaluation.benchmarks.records import Span
from d2vlm_pipeline.evaluation.captions import bleu, cider, rouge_l
from d2vlm_pipeline.evaluation.captions.stand_ins import random_letters
from d2vlm_pipeline.evaluation.contributions import Embed, f1_of_means
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.reading import Described

_MOST_EVENTS = 1000  # of an answer, in the public scripts
_TINY = 1e-8
# The reference of a caption that found no event: a word that no caption has.
_NO_EVENT = "z" * 20


@dataclass(frozen=True)
class Matches:
    """Captions beside the captions of the events they met, at one threshold after another.

    Attributes:
        said, true: captions, and captions of events (and what stands for an event that was not met).
        said_M, true_M: places in them of each match.
        group_M: place of the threshold times the videos, and the video.
        met_M: whether the reference is that of an event.
    """

    said: tuple[str, ...]
    true: tuple[str, ...]
    said_M: Ints
    true_M: Ints
    group_M: Ints
    met_M: Flags


def described_part(
    task: str, source: str, items: Sequence[Item], rules: ETBenchRules, tools: CaptionTools
) -> Part:
    """dvc, slc: `F1` of the events, and metrics of the captions that met one."""
    found = [described_of(item, rules) for item in items]
    counted = _counted(items, found, rules)
    said = [one.spans[: _MOST_EVENTS if rules.by_video else None] for one in found]
    figures = _detection(items, said, counted, rules, "")
    if scores_evidence(items, rules):
        figures += _detection(items, [one.evidence for one in found], counted, rules, "_evi")
    # The scripts go through a set of names, so who gets which random string changes from process to process.
    # A checksum scatters the names as a set does, and always alike.
    videos = [place for place, counts in enumerate(counted) if counts]
    videos.sort(key=lambda place: zlib.crc32(items[place].video.encode()))
    scores: dict[str, Floats] = {}
    if videos:
        matches = _matches([items[place] for place in videos], [found[place] for place in videos], rules)
        scores = _caption_metrics(matches, len(videos), rules, tools)
    for name, values in scores.items():
        values_R = np.zeros(len(items))
        values_R[videos] = values
        figures.append(mean_of(name, values_R, counted if rules.captions_parsed_only else None))
    return Part(
        task=task,
        source=source,
        items=tuple(items),
        figures=tuple(figures),
        read=tuple(bool(one.spans) for one in found),
        said=tuple(one.spans for one in found),
        failed=sum(not one.spans for one in found),
    )


def _counted(items: Sequence[Item], found: Sequence[Described], rules: ETBenchRules) -> list[bool]:
    """Whether each answer is scored: it could be read, and is not replaced by a later one on its video."""
    last = {items[place].video: place for place, one in enumerate(found) if one.spans}
    return [
        bool(one.spans) and (not rules.by_video or last[item.video] == place)
        for place, (item, one) in enumerate(zip(items, found, strict=True))
    ]


def _detection(
    items: Sequence[Item],
    said: Sequence[Sequence[Span]],
    counted: Sequence[bool],
    rules: ETBenchRules,
    suffix: str,
) -> list[Figure]:
    """`F1@τ` of mean precision and mean recall over all questions, and `F1`, their mean."""
    levels = len(THRESHOLDS)
    scored = [spans if counts else () for spans, counts in zip(said, counted, strict=True)]
    tables = pair_tables(scored, [item.truth for item in items])
    shares = precision_recall(tables, _above(_overlaps(tables, rules), rules))
    rows = np.concatenate([*shares, np.ones((len(items), 1))], axis=1)
    by_threshold = [
        Figure(f"F1{suffix}@{threshold:g}", rows[:, [place, levels + place, -1]], f1_of_means)
        for place, threshold in enumerate(THRESHOLDS)
    ]
    return [*by_threshold, Figure("F1" + suffix, rows, f1_of_means)]


def _overlaps(tables: PairTables, rules: ETBenchRules) -> Floats:
    """IoU [X]; the scripts take the smaller of hull and lengths for the union, and add a trifle."""
    pred_X2, true_X2 = tables.pred_X2, tables.true_X2
    if not rules.hull_overlap:
        return overlaps(pred_X2, true_X2, single=False)
    inter = np.minimum(pred_X2[:, 1], true_X2[:, 1]) - np.maximum(pred_X2[:, 0], true_X2[:, 0])
    hull = np.maximum(pred_X2[:, 1], true_X2[:, 1]) - np.minimum(pred_X2[:, 0], true_X2[:, 0])
    lengths = (pred_X2[:, 1] - pred_X2[:, 0]) + (true_X2[:, 1] - true_X2[:, 0])
    return np.asarray(np.maximum(inter, 0.0) / (np.minimum(hull, lengths) + _TINY))


def _above(iou_X: Floats, rules: ETBenchRules) -> Flags:
    """Whether an overlap counts for F1 at each threshold [X, T]."""
    return iou_X[:, None] > np.asarray(THRESHOLDS) if rules.hull_overlap else reaching(iou_X, rules)


def _matches(items: Sequence[Item], found: Sequence[Described], rules: ETBenchRules) -> Matches:
    most = _MOST_EVENTS if rules.by_video else None
    said = tuple(caption for one in found for caption in one.captions[:most])
    true = tuple(caption for item in items for caption in item.captions)
    tables = pair_tables([one.spans[:most] for one in found], [item.truth for item in items])
    slack = 0.0 if rules.hull_overlap else 1e-9
    hit_XT = _overlaps(tables, rules)[:, None] >= np.array(THRESHOLDS) - slack
    level_M, pair_M = np.nonzero(hit_XT.T)
    alone_level_M, alone_M = np.nonzero(~met(tables.said_X, len(said), hit_XT).T)
    lonely = random_letters(len(alone_M)) if rules.random_references else [_NO_EVENT]
    # At each threshold the captions in their order; a caption without event stands where its events would.
    level_M = np.concatenate([level_M, alone_level_M])
    said_M = np.concatenate([tables.said_X[pair_M], alone_M])
    stand_in_M = len(true) + np.arange(len(alone_M)) % max(len(lonely), 1)
    true_M = np.concatenate([tables.true_X[pair_M], stand_in_M])
    order = np.lexsort((said_M, level_M))
    level_M, said_M, true_M = level_M[order], said_M[order], true_M[order]
    group_M = level_M * len(items) + tables.question_S[said_M]
    return Matches(said, (*true, *lonely), said_M, true_M, group_M, true_M < len(true))


def _caption_metrics(
    matches: Matches, videos: int, rules: ETBenchRules, tools: CaptionTools
) -> dict[str, Floats]:
    """By name, the mean over thresholds of each video's score [V]."""
    said_N, true_N = (np.array(_tokens(texts, tools), dtype=object) for texts in (matches.said, matches.true))
    said, true = said_N[matches.said_M].tolist(), true_N[matches.true_M].tolist()
    count = videos * len(THRESHOLDS)
    group_M, groups = matches.group_M, matches.group_M.tolist()
    # Only events are references to a careful reader: a caption without one is like nothing.
    met_M = matches.met_M | rules.random_references
    items_G = np.maximum(np.bincount(group_M, minlength=count), 1)

    def by_group(values_M: Floats) -> Floats:
        return np.bincount(group_M, values_M * met_M, count) / items_G

    bleu_G4 = bleu([[text] for text in true], said, groups)
    scores = {f"Bleu_{order}": values_G for order, values_G in enumerate(bleu_G4.T, start=1)}
    meteor_G = tools.meteor(true, said, groups)
    if meteor_G is not None:
        scores[METEOR] = meteor_G
    # Most pairs recur at every threshold.
    _, first, pair_M = np.unique(
        matches.said_M * len(true_N) + matches.true_M, return_index=True, return_inverse=True
    )
    pairs = [(said[place], true[place]) for place in first]
    scores["ROUGE_L"] = by_group(rouge_l([[t] for _, t in pairs], [s for s, _ in pairs])[pair_M])
    scores["CIDEr"] = by_group(_cider(true, said, group_M, met_M))
    if not rules.captions_parsed_only:
        scores["CIDEr_corpus"] = by_group(_cider(true, said, group_M // videos, met_M))
    scores["SentSim"] = by_group(_similarity(pairs, tools.embed)[pair_M])
    return {name: values_G.reshape(-1, videos).mean(axis=0) for name, values_G in scores.items()}


def _tokens(texts: Sequence[str], tools: CaptionTools) -> list[str]:
    plain = [text if text.isascii() else _ascii(text) for text in texts]
    distinct = list(dict.fromkeys(plain))
    tokens = dict(zip(distinct, tools.tokenize(distinct), strict=True))
    return [tokens[text] for text in plain]


def _ascii(text: str) -> str:
    """The text with a blank for every other character, as the scripts hand it to their tokeniser."""
    return "".join(char if char.isascii() else " " for char in text)


def _cider(
    true: Sequence[str], said: Sequence[str], group_M: Ints, met_M: Flags
) -> Floats:
    """CIDEr-D of each match that has a reference, rarity by the references of its group; 0 of the others."""
    values_M = np.zeros(len(said))
    places = np.flatnonzero(met_M).tolist()
    if places:
        groups = np.unique(group_M[places], return_inverse=True)[1].tolist()
        values_M[places] = cider([[true[i]] for i in places], [said[i] for i in places], groups)
    return values_M


def _similarity(pairs: Sequence[tuple[str, str]], embed: Embed) -> Floats:
    """Product of the unit vectors of both texts of each pair."""
    texts = sorted({text for pair in pairs for text in pair})
    row = {text: place for place, text in enumerate(texts)}
    vectors_ND = embed(texts)
    said_N, true_N = ([row[pair[side]] for pair in pairs] for side in (0, 1))
    return np.asarray(np.einsum("nd,nd->n", vectors_ND[said_N], vectors_ND[true_N]))
