"""The authors' annotation of preferences (method.md §5.2): a chosen response and rejected variants by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, RowError, drafted
from d2vlm_pipeline.annotations.files import list_entries
from d2vlm_pipeline.annotations.formats.et_instruct import TalkRow, Turn, talk_draft

CHOSEN = "chosen"


class FpoRow(TalkRow):
    """One question with several responses; `src` and `tgt` are seconds, flat, by key of the response."""

    src: Mapping[str, tuple[float, ...]] | None = None
    tgt: Mapping[str, tuple[float, ...]] | None = None
    conversations: Mapping[str, tuple[Turn, ...]]

    @property
    def variants(self) -> tuple[str, ...]:
        """Keys of the rejected responses, in their order."""
        return tuple(key for key in self.conversations if key != CHOSEN)


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """The chosen response of every entry; `read_pairs` gives the rejected ones, too.

    Raises:
        UserError: no such file, too large, or no JSON list.
    """
    for row in rows(path, config):
        yield row if isinstance(row, Fault) else row[1]


def rows(path: Path, config: ImportConfig) -> Iterator[tuple[FpoRow, Draft] | Fault]:
    """Every entry with the draft of its chosen response.

    Raises:
        UserError: no such file, too large, or no JSON list.
    """

    def chosen(line: int, row: FpoRow) -> tuple[FpoRow, Draft]:
        return row, response_draft(line, row, CHOSEN, config)

    return drafted(list_entries(path, config.max_file_mb), FpoRow, chosen)


def response_draft(line: int, row: FpoRow, key: str, config: ImportConfig) -> Draft:
    """Question and the response of that key, which for rejected ones is no truth.

    Raises:
        RowError: there is no such response, or its stamps and times do not fit together.
    """
    # All responses answer one question: where a variant does not repeat its times, the chosen's hold.
    asked_s = (row.src or {}).get(key) or (row.src or {}).get(CHOSEN, ())
    # A text alone is corrupted where a variant has no intervals of its own.
    told_s = (row.tgt or {}).get(key) or (row.tgt or {}).get(CHOSEN, ())
    try:
        return talk_draft(line, row, row.conversations.get(key, ()), asked_s, told_s, config)
    except RowError as error:
        raise RowError(error.code, f"{key}: {error}") from None
