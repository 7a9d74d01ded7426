"""Records as JSON lines, read as untrusted input."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from d2vlm_pipeline.artifacts import UserError, canonical_json, validation_reason

_Model = TypeVar("_Model", bound=BaseModel)
_MAX_LINE_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"


class LineError(UserError):
    """One line of a file that is no valid record."""

    def __init__(self, path: Path, line: int, reason: str, raw: bytes) -> None:
        """Keep the parts beside the message: `raw` is the line as read, empty where it was too long."""
        super().__init__(f"{path}:{line}: {reason}; correct the line or drop it")
        self.path = path
        self.line = line
        self.reason = reason
        self.raw = raw


def read_jsonl(path: Path | str, model: type[_Model]) -> Iterator[tuple[int, _Model]]:
    """Yield (line number from 1, record); blank lines are skipped.

    Raises:
        UserError: no such file.
        LineError: the first line that is no valid record.
    """
    for line, record in scan_jsonl(path, model):
        if isinstance(record, LineError):
            raise record
        yield line, record


def scan_jsonl(path: Path | str, model: type[_Model]) -> Iterator[tuple[int, _Model | LineError]]:
    """Like `read_jsonl`, but bad lines are yielded as LineError and reading goes on.

    Raises:
        UserError: no such file.
    """
    path = Path(path)
    for line, raw in scan_lines(path):
        yield line, raw if isinstance(raw, LineError) else _parsed(path, line, raw, model)


def scan_lines(path: Path | str) -> Iterator[tuple[int, bytes | LineError]]:
    """Yield (line number from 1, bytes of the line); blank lines and a byte-order mark are skipped.

    Of a line that is too long to be one, LineError.

    Raises:
        UserError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    with path.open("rb") as stream:
        for line, raw in enumerate(_lines(stream), start=1):
            raw = raw.removeprefix(_BOM) if line == 1 else raw
            if len(raw) > _MAX_LINE_BYTES:
                yield line, LineError(path, line, f"line is longer than {_MAX_LINE_BYTES >> 20} MiB", b"")
            elif raw.strip():
                yield line, raw


def dump_jsonl(records: Iterable[BaseModel]) -> str:
    """One canonical JSON line a record: equal records give equal bytes."""
    return "".join(canonical_json(record) + "\n" for record in records)


def _parsed(path: Path, line: int, raw: bytes, model: type[_Model]) -> _Model | LineError:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        return LineError(path, line, validation_reason(error), raw)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of a file; of an over-long one only the head, so that one line cannot exhaust the memory."""
    while head := stream.readline(_MAX_LINE_BYTES + 1):
        tail = head
        while len(tail) > _MAX_LINE_BYTES and not tail.endswith(b"\n"):
            tail = stream.readline(_MAX_LINE_BYTES + 1)
        yield head
