"""E.T. Bench as its public script scores it, in plain loops: what our scoring is measured against.

compute_metrics_original_etchat.py (nusnlp/d2vlm): sample by sample, tensors of one interval for each overlap,
texts embedded where they are needed, the COCO tools' scorers called video by video. METEOR is left out.
"""

from __future__ import annotations

import random
import re
import string
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from torch import Tensor

from benchmarks.score_loops_etbench_reading import read_described, read_intervals

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
LETTERS = "abcde"
Sample = dict[str, Any]
Figures = dict[str, float]
Encode = Callable[[list[str]], Any]
Tokenize = Callable[[str], str]


def scored(samples: Sequence[Sample], encode: Encode, tokenize: Tokenize) -> dict[str, dict[str, Figures]]:
    """Figures of every source of every task."""
    sources: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        sources.setdefault(sample["task"], {}).setdefault(sample["source"], []).append(sample)
    return {
        task: {source: _of_source(task, members, encode, tokenize) for source, members in found.items()}
        for task, found in sources.items()
    }


def _of_source(task: str, samples: list[Sample], encode: Encode, tokenize: Tokenize) -> Figures:
    if task in ("tvg", "epm"):
        return _one_interval(samples, "F1", "F1")
    if task == "tem":
        return _one_interval(samples, "R", "mRec")
    if task == "tal":
        return _actions(samples)
    if task == "evs":
        return _summaries(samples)
    if task == "vhd":
        return _highlights(samples)
    if task in ("dvc", "slc"):
        return _captions(samples, encode, tokenize)
    return _grounded_choice(samples, encode) if task == "gvq" else _choice(samples, encode)


def _overlap(truth: Tensor, said: Tensor) -> Tensor:
    """IoU of every pair of intervals."""
    start = torch.max(truth[:, None, 0], said[:, 0])
    end = torch.min(truth[:, None, 1], said[:, 1])
    inter = (end - start).clamp(min=0)
    return inter / ((truth[:, 1] - truth[:, 0])[:, None] + (said[:, 1] - said[:, 0]) - inter)


def _one_interval(samples: list[Sample], name: str, mean: str, wanted: set[int] | None = None) -> Figures:
    hits, failed, total = [0, 0, 0, 0], 0, 0.0
    for number, sample in enumerate(samples):
        if wanted is not None and number not in wanted:
            continue
        said = read_intervals(sample["a"])
        if said is None:
            failed += 1
            continue
        truth = sample["tgt"] if isinstance(sample["tgt"][0], list) else [sample["tgt"]]
        iou = _overlap(torch.Tensor(truth), torch.Tensor([said[0]])).max().item()
        total += iou
        for place, threshold in enumerate(THRESHOLDS):
            if iou >= threshold:
                hits[place] += 1
    shares = [hit / len(samples) for hit in hits]
    figures = {"Total": len(samples), "Failed": failed, "mIoU": round(total / len(samples), 5)}
    return figures | _by_threshold(name, mean, shares)


def _by_threshold(name: str, mean: str, values: Sequence[float]) -> Figures:
    figures = {f"{name}@{at}": round(value, 5) for at, value in zip(THRESHOLDS, values, strict=True)}
    return figures | {mean: round(sum(values) / len(values), 5)}


def _actions(samples: list[Sample]) -> Figures:
    sums, failed = [0.0, 0.0, 0.0, 0.0], 0
    for sample in samples:
        said = read_intervals(sample["a"])
        if said is None:
            failed += 1
            continue
        iou = _overlap(torch.Tensor(sample["tgt"]), torch.Tensor(said))
        for place, threshold in enumerate(THRESHOLDS):
            if iou.max() < threshold:
                continue
            recall = (iou.amax(dim=1) >= threshold).float().mean().item()
            precision = (iou.amax(dim=0) >= threshold).float().mean().item()
            sums[place] += 2 * precision * recall / (precision + recall)
    figures: Figures = {"Total": len(samples), "Failed": failed}
    return figures | _by_threshold("F1", "F1", [value / len(samples) for value in sums])


def _summaries(samples: list[Sample]) -> Figures:
    values, failed = [], 0
    for sample in samples:
        said = read_intervals(sample["a"])
        if said is None:
            failed += 1
            continue
        both = torch.zeros(1000)
        for weight, spans in ((1, sample["tgt"]), (2, said)):
            one = torch.zeros(1000)
            for start, end in spans:
                one[max(0, round(start)) : round(end)] = weight
            both = both + one
        hit, false, missed = ((both == kind).sum().item() for kind in (3, 2, 1))
        precision, recall = hit / max(hit + false, 1), hit / max(hit + missed, 1)
        values.append(2 * precision * recall / (precision + recall) if hit else 0.0)
    return {
        "Total": len(samples),
        "Failed": failed,
        "F1": round(sum(values) / len(values), 5) if values else 0,
    }


def _highlights(samples: list[Sample]) -> Figures:
    hits, failed = 0, 0
    for sample in samples:
        truth = sample["tgt"] if isinstance(sample["tgt"][0][0], list) else [sample["tgt"]]
        number = re.search(r"[-+]?\d*\.\d+|[-+]?\d+", sample["a"])
        if number is None:
            failed += 1
            continue
        moment = float(number[0])
        hits += any(start <= moment <= end for judge in truth for start, end in judge)
    return {"Total": len(samples), "Failed": failed, "F1": round(hits / len(samples), 5)}


def _similar(answer: str, sample: Sample, encode: Encode) -> int:
    """The option whose text is most similar, one pair of texts after another."""
    best, most = 0, float("-inf")
    for number, option in enumerate(sample["o"]):
        text = option if isinstance(option, str) else f"{option[0]} - {option[1]}"
        found = float(encode([answer])[0] @ encode([f"({'ABCDE'[number]}) {text}"])[0])
        if found > most:
            best, most = number, found
    return best


def _stripped(answer: str) -> str:
    answer = answer[12:] if answer.lower().startswith("best option:") else answer
    return answer.lstrip().lstrip("(").lstrip()


def _first_letter(answer: str) -> str:
    return answer[0].lower() if len(answer) == 1 or answer[1] in (".", ",", " ", ")") else ""


def _choice(samples: list[Sample], encode: Encode) -> Figures:
    hits, failed = 0, 0
    for sample in samples:
        letters = LETTERS[: len(sample["o"])]
        right, known = letters[sample["p"]], False
        bracketed = re.search(r"\(([A-Za-z])\)", sample["a"])
        if bracketed is not None:
            known = True
            if bracketed[1].lower() == right:
                hits += 1
                continue
        answer = _stripped(sample["a"].lower())
        if not answer:
            failed += 1
            continue
        first = _first_letter(answer)
        if first:
            known = True
            if first == right:
                hits += 1
                continue
        failed += not known
        hits += _similar(answer, sample, encode) == sample["p"]
    return {"Total": len(samples), "Failed": failed, "Acc": round(hits / len(samples), 5)}


def _grounded_choice(samples: list[Sample], encode: Encode) -> Figures:
    right: set[int] = set()
    empty = 0
    for number, sample in enumerate(samples):
        answer = _stripped(sample["a"])
        if not answer:
            empty += 1
            continue
        first = _first_letter(answer)
        if first and first in LETTERS[: len(sample["o"])]:
            if first == LETTERS[sample["p"]]:
                right.add(number)
        elif _similar(answer, sample, encode) == sample["p"]:
            right.add(number)
    figures = _one_interval(samples, "R", "mRec", right)
    figures["Failed"] += empty
    return figures | {"Acc": round(len(right) / len(samples), 5)}


def _hull_overlap(one: Sequence[float], other: Sequence[float]) -> float:
    inter = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    hull = max(one[1], other[1]) - min(one[0], other[0])
    return float(inter) / (min(hull, one[1] - one[0] + other[1] - other[0]) + 1e-8)


def _captions(samples: list[Sample], encode: Encode, tokenize: Tokenize) -> Figures:
    truth: dict[str, Sample] = {}
    said: dict[str, list[tuple[list[float], str]]] = {}
    failed = 0
    for sample in samples:
        found = read_described(sample["a"])
        if found is None:
            failed += 1
            continue
        truth[sample["video"]] = sample
        said[sample["video"]] = list(zip(*found, strict=True))[:1000]
    # In this order the script goes through the videos in some process: its own changes with every process.
    videos = sorted(said, key=lambda video: zlib.crc32(video.encode()))
    sums: Figures = {}
    draw = random.Random(0)
    for threshold in THRESHOLDS:
        pairs = {video: _pairs(truth[video], said[video], threshold, draw) for video in videos}
        for name, value in _caption_scores(pairs, encode, tokenize).items():
            sums[name] = sums.get(name, 0.0) + value
    f1 = [_detection(truth, said, threshold, len(said) / len(samples)) for threshold in THRESHOLDS]
    figures: Figures = {"Total": len(samples), "Failed": failed}
    means = {name: round(value / len(THRESHOLDS), 5) for name, value in sums.items()}
    return figures | _by_threshold("F1", "F1", f1) | means


def _pairs(
    sample: Sample, said: list[tuple[list[float], str]], threshold: float, draw: random.Random
) -> list[tuple[str, str]]:
    pairs = []
    for interval, caption in said:
        met = [
            (caption, text)
            for event, text in zip(sample["tgt"], sample["g"], strict=True)
            if _hull_overlap(interval, event) >= threshold
        ]
        length = 0 if met else draw.randint(10, 20)
        letters = "".join(draw.choice(string.ascii_lowercase) for _ in range(length))
        pairs += met or [(caption, letters)]
    return pairs


def _caption_scores(
    pairs: Mapping[str, list[tuple[str, str]]], encode: Encode, tokenize: Tokenize
) -> Figures:
    """Means over videos of every scorer's figure of each."""
    scorers = {("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"): Bleu(4), ("ROUGE_L",): Rouge(), ("CIDEr",): Cider()}
    values: dict[str, list[float]] = {"SentSim": []}
    for found in pairs.values():
        true = {number: [tokenize(text)] for number, (_, text) in enumerate(found)}
        said = {number: [tokenize(text)] for number, (text, _) in enumerate(found)}
        for names, scorer in scorers.items():
            quiet = {"verbose": 0} if len(names) > 1 else {}
            score, _ = scorer.compute_score(true, said, **quiet)
            for name, value in zip(names, score if len(names) > 1 else [score], strict=True):
                values.setdefault(name, []).append(float(value))
        left = encode([said[number][0] for number in said])
        right = encode([true[number][0] for number in true])
        values["SentSim"].append(float(np.diagonal(left @ right.T).mean()))
    return {name: float(np.mean(each)) for name, each in values.items()}


def _detection(
    truth: Mapping[str, Sample],
    said: Mapping[str, list[tuple[list[float], str]]],
    threshold: float,
    scale: float,
) -> float:
    precision = recall = 0.0
    for video, found in said.items():
        events = truth[video]["tgt"]
        hits = [
            (number, event)
            for number, (interval, _) in enumerate(found)
            for event, times in enumerate(events)
            if _hull_overlap(interval, times) > threshold
        ]
        precision += len({number for number, _ in hits}) / len(found)
        recall += len({event for _, event in hits}) / len(events)
    precision, recall = precision / len(said) * scale, recall / len(said) * scale
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
