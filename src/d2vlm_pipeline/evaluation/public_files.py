"""Predictions in the files that public benchmarks take: what `d2vlm score` and the public scripts read.

Queries are named as the benchmark names them where samples were read from its annotations, and numbered as
`annotations.export` numbers them where they come from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from d2vlm_pipeline.annotations.export import Exported, bench_row, numbers_of
from d2vlm_pipeline.annotations.formats import etbench, qvhighlights
from d2vlm_pipeline.annotations.wording import CAPTIONED
from d2vlm_pipeline.artifacts import write_text_atomic
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import ONE_EVENT
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.timeline import EVI_END, Interval, Prediction, Sample, TextSegment, dump_jsonl
from d2vlm_pipeline.video.naming import stem_of

AnswerFormat = Literal[
    "grounded", "charades-sta", "qvhighlights", "youcook2", "activitynet-captions", "etbench"
]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)

_Numbered = Sequence[tuple[Pair, int]]
_Span = list[float]


def export_answers(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    durations: Mapping[str, float],
    path: Path,
    format: AnswerFormat,
) -> Exported:
    """Write predictions to a file of a benchmark's format, whole or not at all.

    An answer that could not be parsed is written as one without intervals (E.T. Bench: verbatim), so that it
    stays in every denominator.

    Args:
        samples: all of the data, in the order of its file; numbers are theirs.
        predictions: of one system.
        durations: seconds by video, for E.T. Bench.
        path: the file.
        format: the benchmark, as `d2vlm score` names it.
    """
    report = Exported()
    if format == "grounded":
        report.rows = len(predictions)
        write_text_atomic(path, dump_jsonl(predictions))
        return report
    by_id = {sample.id: sample for sample in samples}
    asked = [by_id[name] for name in (str(answer.sample_id) for answer in predictions) if name in by_id]
    pairs = match_predictions(asked, predictions)
    if format == "etbench":
        entries: Any = _bench(_numbered(samples, pairs, etbench.ID), durations, report)
    elif format == "qvhighlights":
        entries = _submission(_numbered(samples, pairs, qvhighlights.ID), report)
        write_text_atomic(path, "".join(f"{_json(entry)}\n" for entry in entries))
        return report
    else:
        entries = _WRITERS[format](pairs, report)
    write_text_atomic(path, _json(entries) + "\n")
    return report


def _numbered(samples: Sequence[Sample], pairs: Sequence[Pair], head: str) -> _Numbered:
    numbers = dict(zip((s.id for s in samples), numbers_of([s.id for s in samples], head), strict=True))
    return [(pair, numbers[pair.sample.id]) for pair in pairs]


def _submission(pairs: _Numbered, report: Exported) -> list[dict[str, Any]]:
    """Moment-DETR's submission, best window first: R@1 takes the first of the list."""
    entries = []
    for pair, number in pairs:
        if (query := _query(pair.sample, report)) is None:
            continue
        answer = pair.prediction
        found = answer.answer_intervals if answer is not None and pair.parsed else ()
        ranked = sorted(found, key=lambda interval: -interval.confidence)
        windows = [[*_span(interval), interval.confidence] for interval in ranked]
        vid = stem_of(pair.sample.video)
        entries.append({"qid": number, "query": query, "vid": vid, "pred_relevant_windows": windows})
    report.rows = len(entries)
    return entries


def _moments(pairs: Sequence[Pair], report: Exported) -> dict[str, Any]:
    """TimeChat's form for Charades-STA: by number of the query from 0, which a sample's id has from 1."""
    entries = {}
    for place, pair in enumerate(pairs):
        if (query := _query(pair.sample, report)) is None:
            continue
        _, _, line = pair.sample.id.rpartition("-")
        name = str(int(line) - 1) if line.isascii() and line.isdigit() and int(line) else str(place)
        if name in entries:
            report.refused["another query has its number"] += 1
            continue
        entries[name] = {"timestamp": _spans(pair), "query": query, "vid": _file(pair.sample)}
    report.rows = len(entries)
    return entries


def _recipes(pairs: Sequence[Pair], report: Exported) -> dict[str, Any]:
    """TimeChat's form for YouCook2."""
    told = _told(pairs, report, _file)
    return {
        video: [{"timestamp": span, "caption": caption} for span, caption in captions]
        for video, captions in told.items()
    }


def _captions(pairs: Sequence[Pair], report: Exported) -> dict[str, Any] | list[dict[str, Any]]:
    """ActivityNet Captions: dense captions by video, or, where none were asked for, queries in a list."""
    if not any(pair.sample.task in CAPTIONED for pair in pairs):
        queries = [(pair, _query(pair.sample, report)) for pair in pairs]
        entries = [
            {"vid": _stem(pair.sample), "query": query, "timestamp": _spans(pair)}
            for pair, query in queries
            if query is not None
        ]
        report.rows = len(entries)
        return entries
    told = _told(pairs, report, _stem)
    results = {
        video: [{"sentence": caption, "timestamp": span} for span, caption in captions]
        for video, captions in told.items()
    }
    return {"version": "VERSION 1.0", "results": results, "external_data": {"used": False}}


def _told(
    pairs: Sequence[Pair], report: Exported, name: Callable[[Sample], str]
) -> dict[str, list[tuple[_Span, str]]]:
    """Intervals with captions by video."""
    told: dict[str, list[tuple[_Span, str]]] = {}
    for pair in pairs:
        if pair.sample.task not in CAPTIONED:
            report.refused[f"task {pair.sample.task} describes no video"] += 1
        elif name(pair.sample) in told:
            report.refused["the video is described already"] += 1
        else:
            told[name(pair.sample)] = list(zip(_spans(pair), pair.captions("answer"), strict=True))
    report.rows = len(told)
    return told


def _bench(pairs: _Numbered, durations: Mapping[str, float], report: Exported) -> list[dict[str, Any]]:
    """E.T. Bench: rows of the benchmark with the answer in `a`, evidence before `</evi>`."""
    entries = []
    for pair, number in pairs:
        duration_s = durations.get(pair.sample.video)
        if duration_s is None:
            report.refused["no duration of its video"] += 1
        elif (row := bench_row(pair.sample, duration_s, number, report)) is not None:
            if pair.sample.task in ONE_EVENT and len(row["tgt"]) == 1:
                row["tgt"] = row["tgt"][0]  # where one interval is asked for, the benchmark writes it flat
            entries.append({**row, "a": _bench_answer(pair.prediction)})
    report.rows, report.lost = len(entries), type(report.lost)()
    return entries


def _bench_answer(answer: Prediction | None) -> str:
    if answer is None or not answer.parsed:
        return answer.raw if answer else ""
    said = "".join(
        segment.text if isinstance(segment, TextSegment) else f"{_times(segment.interval)} seconds"
        for segment in answer.segments
    )
    evidence = ", ".join(_times(interval) for interval in answer.evidence)
    return f"{evidence}{EVI_END}{said.strip()}"


def _query(sample: Sample, report: Exported) -> str | None:
    """What is looked for, as the benchmark words it; of what does not happen, the question."""
    wordings = {event.caption for event in sample.events}
    if sample.task in CAPTIONED or sample.options is not None or len(wordings) > 1:
        report.refused[f"task {sample.task} looks for no one thing"] += 1
        return None
    return next(iter(wordings), "") or sample.question


def _spans(pair: Pair) -> list[_Span]:
    return [[float(time_s) for time_s in span] for span in pair.intervals_P2("answer")]


def _span(interval: Interval) -> _Span:
    return [interval.start_s, interval.end_s]


def _times(interval: Interval) -> str:
    """Three decimals at most, one at least: every reader takes `5.0 - 7.25`."""
    return " - ".join(repr(round(time_s, 3)) for time_s in _span(interval))


def _file(sample: Sample) -> str:
    return PurePosixPath(sample.video).name


def _stem(sample: Sample) -> str:
    return stem_of(_file(sample))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_WRITERS: dict[str, Callable[[Sequence[Pair], Exported], Any]] = {
    "charades-sta": _moments,
    "youcook2": _recipes,
    "activitynet-captions": _captions,
}
