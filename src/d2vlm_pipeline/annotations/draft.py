"""What a reader makes of a row before anything is known of its video: a draft of a sample, or a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.rejection import RejectionCode
from d2vlm_pipeline.artifacts import validation_reason

_Row = TypeVar("_Row", bound=BaseModel)
_Made = TypeVar("_Made")


class RowError(ValueError):
    """What makes a row unusable, with the code to count it by."""

    def __init__(self, code: RejectionCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class ForeignRow(BaseModel):
    """Row of a format that others define: fields that are not needed here are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class NamedRow(ForeignRow):
    """Row about one video."""

    video: str

    @property
    def sample_id(self) -> str | None:
        """Of the sample that it will be; None where the format has none."""
        return None


_Named = TypeVar("_Named", bound=NamedRow)


@dataclass(frozen=True)
class Span:
    """An event as annotated: nothing of it is checked."""

    start_s: float
    end_s: float
    caption: str = ""


@dataclass(frozen=True)
class Draft:
    """A row's content in the vocabulary of samples.

    Attributes:
        line: from 1; the entry's number where the file is one JSON value.
        video: as the format names it.
        duration_s: of its video, where the format says.
        id, source, split: None where the format has none.
        note: what of the row was left out, a word to count by.
    """

    line: int
    video: str
    task: str
    question: str
    answer: str
    events: tuple[Span, ...] = ()
    query_intervals: tuple[tuple[float, float], ...] = ()
    options: tuple[str, ...] | None = None
    answer_index: int | None = None
    duration_s: float | None = None
    id: str | None = None
    source: str | None = None
    split: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Fault:
    """A row of which no draft can be made."""

    line: int
    code: RejectionCode
    reason: str
    video: str | None = None
    sample_id: str | None = None


Reader = Callable[[Path, ImportConfig], Iterator[Draft | Fault]]
"""A format: one Draft or Fault for every row of the file, in its order."""


def parsed_row(model: type[_Row], value: Any, line: int, video: str | None = None) -> _Row | Fault:
    """A JSON value as a row of the format."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if video is None and isinstance(value, dict):
            video = next((value[key] for key in ("video", "vid", "image_id") if key in value), None)
        named = video if isinstance(video, str) else None
        return Fault(line, fault_code(error), validation_reason(error), named)


def drafted(
    entries: Iterable[tuple[int, Any] | Fault], model: type[_Named], make: Callable[[int, _Named], _Made]
) -> Iterator[_Made | Fault]:
    """What `make` gives for each entry; a Fault for what is no row, or where it raises RowError."""
    for entry in entries:
        if isinstance(entry, Fault):
            yield entry
            continue
        line, value = entry
        row = parsed_row(model, value, line)
        if isinstance(row, Fault):
            yield row
            continue
        try:
            yield make(line, row)
        except RowError as error:
            yield Fault(line, error.code, str(error), row.video, row.sample_id)


def fault_code(error: ValidationError) -> RejectionCode:
    """What the first complaint is about."""
    kind = error.errors(include_url=False, include_context=False)[0]["type"]
    codes: dict[str, RejectionCode] = {"missing": "missing_field", "finite_number": "not_finite"}
    return codes.get(kind, "invalid_record")


def as_spans(pairs: Sequence[tuple[float, float]], captions: Sequence[str] = ()) -> tuple[Span, ...]:
    """Events of intervals, each with its caption where there are captions."""
    texts = captions or [""] * len(pairs)
    return tuple(Span(start_s, end_s, text) for (start_s, end_s), text in zip(pairs, texts, strict=True))
