"""Files of ActivityNet Captions and of predictions on it, dense or by query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import Captions, Dense, Material
from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_json, load_list, load_object
from d2vlm_pipeline.evaluation.benchmarks.grounding import Asked, Grounding, Said
from d2vlm_pipeline.evaluation.benchmarks.records import Files

_RESULTS = "results"
_ELSEWHERE = 2.0  # times the length of the video: a true event may end a little late, not so late


def read(files: Files) -> Material:
    """Dense captions `{"results": {video: [{sentence, timestamp}]}}`, or intervals of given queries.

    Those are `{query id: {vid, query, timestamp}}` or a list of such entries; an entry belongs to the
    sentence of its video that is its query, or to the one whose number from 0 it gives as `sentence_id`.

    Raises:
        UserError: unreadable, or of another form; names file and place.
    """
    found = load_json(files.predictions).value
    if isinstance(found, dict) and _RESULTS in found:
        return _dense(files)
    return _grounding(files, listed=isinstance(found, list))


def read_references(path: Path) -> dict[str, Captions]:
    """A reference set: `{video: {duration, timestamps: [[start, end]], sentences: [text]}}`.

    Raises:
        UserError: unreadable, of another form, or not one sentence for each interval; names the video.
    """
    return {row.name: _true(row) for row in load_object(path)}


def _dense(files: Files) -> Dense:
    references = tuple(read_references(path) for path in files.truths)
    return Dense(
        videos=tuple(dict.fromkeys(video for one in references for video in one)),
        told={row.name: _told(row) for row in load_object(files.predictions, _RESULTS)},
        references=references,
    )


def _told(row: Row) -> Captions:
    spans, texts = [], []
    for part in row.parts:
        spans.append(part["timestamp"].span)
        texts.append(part["sentence"].text)
    return Captions(tuple(spans), tuple(texts), row.place)


def _true(row: Row) -> Captions:
    sentences = tuple(part.text for part in row["sentences"].parts)
    spans = row["timestamps"].spans
    if len(spans) != len(sentences):
        raise row.error(f"{len(spans)} timestamps and {len(sentences)} sentences", "give one for the other")
    if not spans:
        raise row.error("no event", "drop the video")
    duration_s = row["duration"].number
    if duration_s <= 0:
        raise row.error(f"a duration of {duration_s:g} s")
    for part, (start_s, end_s) in zip(row["timestamps"].parts, spans, strict=True):
        if start_s >= duration_s or end_s > _ELSEWHERE * duration_s:
            where = f"[{start_s:g}, {end_s:g}] is beyond the video, which lasts {duration_s:g} s"
            raise part.error(where, "correct the truth")
    return Captions(spans, sentences, row.place, duration_s)


def _grounding(files: Files, listed: bool) -> Grounding:
    if len(files.truths) != 1:
        raise UserError(f"{files.predictions}: intervals of queries take one reference set; give one")
    references = read_references(files.truths[0])
    asked = tuple(
        Asked(_query_id(video, number), video, text.strip(), (span,), captions.duration_s)
        for video, captions in references.items()
        for number, (span, text) in enumerate(zip(captions.spans, captions.texts, strict=True))
    )
    rows = load_list(files.predictions) if listed else load_object(files.predictions)
    taken: dict[tuple[str, str], int] = {}
    return Grounding(asked, tuple(_entry(row, references, taken) for row in rows))


def _entry(row: Row, references: Mapping[str, Captions], taken: dict[tuple[str, str], int]) -> Said:
    if not isinstance(row.value, dict):
        raise row.error(
            f"neither dense captions under {_RESULTS!r} nor an interval of a sentence",
            "give one of these forms",
        )
    named = row["video" if row.has("video") else "vid"].text
    video = f"v_{named}" if named not in references and f"v_{named}" in references else named
    if row.has("sentence_id"):
        query = _query_id(video, row["sentence_id"].integer)
    else:
        text = row["sentence" if row.has("sentence") else "query"].text
        query = _asked_about(video, text, references.get(video), taken)
    spans = _spans(row["timestamp"]) if row.has("timestamp") else ()
    return Said(query, video, spans, row.place)


def _asked_about(video: str, text: str, known: Captions | None, taken: dict[tuple[str, str], int]) -> str:
    """Id of the sentence; entries about one that a video has several times belong to them in turn."""
    wanted = _plain(text)
    numbers = [place for place, one in enumerate(known.texts) if _plain(one) == wanted] if known else []
    if not numbers:
        return f"{video}: {text.strip()}"
    turn = taken.get((video, wanted), 0)
    taken[video, wanted] = turn + 1
    return _query_id(video, numbers[turn % len(numbers)])


def _plain(text: str) -> str:
    """A sentence as prompts repeat it: spaces, capitals and the full stop at the end may have changed."""
    return " ".join(text.split()).rstrip(".").rstrip().lower()


def _spans(row: Row) -> tuple[tuple[float, float], ...]:
    """One interval, or a list of them."""
    if row.items and not isinstance(row.items[0], list):
        return (row.span,)
    return row.spans


def _query_id(video: str, number: int) -> str:
    return f"{video}/{number}"
