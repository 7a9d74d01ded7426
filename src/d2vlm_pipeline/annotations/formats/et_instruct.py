"""E.T. Instruct 164K (arXiv 2409.18111): conversations about events, `<vid>` and `<evi>` flavours.

method.md §2.3; PolyU-ChenLab/ETBench, docs/DATASET.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import (
    Draft,
    Fault,
    ForeignRow,
    NamedRow,
    RowError,
    as_spans,
    drafted,
)
from d2vlm_pipeline.annotations.files import list_entries
from d2vlm_pipeline.annotations.formats.stamps import captions_in, take_times
from d2vlm_pipeline.annotations.wording import CAPTIONED
from d2vlm_pipeline.timeline import EVI, EVI_END

IMAGE = "<image>"


class Turn(ForeignRow):
    """One side of a conversation."""

    speaker: Literal["human", "gpt"] = Field(alias="from")
    value: str


class TalkRow(NamedRow):
    """What conversations are about."""

    task: str
    source: str | None = None
    duration: float | None = None


class InstructRow(TalkRow):
    """One conversation; `src` and `tgt` are seconds, flat, for the stamps of question and answer."""

    src: tuple[float, ...] | None = None
    tgt: tuple[float, ...] | None = None
    conversations: tuple[Turn, ...]


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One conversation of a question and its answer an entry.

    Raises:
        UserError: no such file, too large, or no JSON list.
    """

    def draft(line: int, row: InstructRow) -> Draft:
        return talk_draft(line, row, row.conversations, row.src or (), row.tgt or (), config)

    return drafted(list_entries(path, config.max_file_mb), InstructRow, draft)


def talk_draft(
    line: int,
    row: TalkRow,
    turns: Sequence[Turn],
    src_s: Sequence[float],
    tgt_s: Sequence[float],
    config: ImportConfig,
) -> Draft:
    """A question and its answer, with the times of their stamps.

    Args:
        line: of the entry.
        row: what the conversation is about.
        turns: one of a person, one of the model.
        src_s: times of the question's stamps.
        tgt_s: times of the answer's.
        config: how the file is read.

    Raises:
        RowError: other turns, or stamps and times, or the two halves of the answer, do not fit together.
    """
    if [turn.speaker for turn in turns] != ["human", "gpt"]:
        raise RowError("bad_count", f"{len(turns)} turns; a sample is one question and its answer")
    human, gpt = (turn.value for turn in turns)
    task = config.task or row.task
    question, queries = _timed("question", human.replace(IMAGE, "").strip(), src_s, config, row.duration)
    answer, pairs = _timed("answer", _answer_half(gpt), tgt_s, config, row.duration)
    events = as_spans(pairs, captions_in(answer) if task in CAPTIONED else [])
    return Draft(
        line,
        row.video,
        task,
        question,
        answer,
        events,
        queries,
        duration_s=row.duration,
        source=row.source,
    )


def _timed(
    what: str, text: str, times_s: Sequence[float], config: ImportConfig, duration_s: float | None
) -> tuple[str, tuple[tuple[float, float], ...]]:
    try:
        return take_times(text, times_s, config.instant_s, duration_s)
    except RowError as error:
        raise RowError(error.code, f"the {what} has {error}") from None


def _answer_half(gpt: str) -> str:
    """What stands behind the evidence half, which must announce as many intervals as the answer names.

    Raises:
        RowError: it does not, or holds words.
    """
    evidence, end, answer = gpt.partition(EVI_END)
    if not end:
        return gpt.strip()
    if evidence.replace(EVI, "").strip(" ,\n\t"):
        raise RowError("bad_count", f"the evidence half, before {EVI_END}, holds words")
    if EVI_END in answer:
        raise RowError("bad_count", f"the answer has more than one {EVI_END}")
    if evidence.count(EVI) != answer.count(EVI):
        counts = f"{evidence.count(EVI)} {EVI} in the evidence half, {answer.count(EVI)} in the answer"
        raise RowError("bad_count", counts)
    return answer.strip()
