"""Charades-STA (Gao et al., ICCV 2017): `VIDEO START END##sentence`, a query a line, times in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, Span
from d2vlm_pipeline.annotations.files import checked_file
from d2vlm_pipeline.annotations.wording import answered, asked, plain
from d2vlm_pipeline.timeline import LineError, scan_lines

_SEPARATOR = "##"


def read(path: Path, config: ImportConfig) -> Iterator[Draft | Fault]:
    """One query a line. The format has neither durations nor splits.

    Raises:
        UserError: no such file, or too large.
    """
    for line, raw in scan_lines(checked_file(path, config.max_file_mb)):
        if isinstance(raw, LineError):
            yield Fault(line, "oversized_line", raw.reason)
            continue
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            yield Fault(line, "malformed_line", f"byte {error.start} of the line is not UTF-8")
            continue
        yield _draft(line, text, config)


def _draft(line: int, text: str, config: ImportConfig) -> Draft | Fault:
    # The sentence may hold the separator again, and the name of a video spaces.
    head, separator, sentence = text.partition(_SEPARATOR)
    parts = head.rsplit(maxsplit=2)
    if not separator or len(parts) != 3:
        return Fault(line, "malformed_line", f"expected `VIDEO START END{_SEPARATOR}sentence`")
    video, *times = parts
    try:
        start_s, end_s = map(float, times)
    except ValueError:
        return Fault(line, "malformed_line", f"{' '.join(times)!r} are no times in seconds", video)
    query = plain(sentence)
    if not query:
        return Fault(line, "missing_field", f"no sentence behind {_SEPARATOR}", video)
    task = config.task or "tvg"
    return Draft(
        line,
        video,
        task,
        asked(task, query, config),
        answered(task, 1, config),
        (Span(start_s, end_s, query),),
    )
