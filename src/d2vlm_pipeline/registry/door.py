"""The registered model's door: rows of a request become questions about videos, or are refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, digest_json, validation_reason
from d2vlm_pipeline.timeline import Prediction, Question
from d2vlm_pipeline.video import DecodeLimits, resolve_video
from d2vlm_pipeline.video.source import check_regular

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor

VIDEOS = "D2VLM_VIDEOS"
"""Environment variable: the folder below which a request may name videos; without it, anywhere."""

SENT = "video_bytes"
"""The column of a video that is sent along."""

_MIB = 1 << 20


class DoorConfig(StrictModel):
    """What a request may cost; the defaults are written into the packed model and can be replaced at loading.

    Attributes:
        video_mb: most MiB of a video that is sent as bytes.
        limits: budgets of decoding one video, sent or named.
    """

    video_mb: PositiveInt = 64
    limits: DecodeLimits = DecodeLimits(wall_s=30.0, cpu_s=30.0, max_file_mb=2048, max_duration_s=3600.0)


@dataclass(frozen=True)
class _Asked:
    """A row that was let in: its number from 1, its question, and how whoever asks names the video."""

    number: int
    question: Question
    named: str


@dataclass(frozen=True)
class Door:
    """Answers rows of a request with a predictor over video files; one request at a time.

    Attributes:
        videos: the folder below which rows may name videos; None for anywhere.
    """

    predictor: Predictor
    config: DoorConfig
    videos: Path | None = None
    # Scoring servers ask from several threads, and a predictor keeps what it has read last.
    _one: Lock = field(default_factory=Lock, repr=False)
    _scratch: TemporaryDirectory[str] = field(
        default_factory=lambda: TemporaryDirectory(prefix="d2vlm-door-"), repr=False
    )

    def answer(self, rows: Sequence[Mapping[Any, Any]]) -> list[Prediction]:
        """One prediction per row, in order.

        Args:
            rows: `video` (a path) or `video_bytes`, `question`, and optionally `query_intervals` (a list of
                [start_s, end_s], one for each `<evi>` of the question) and `options` (a list of texts); lists
                may be given as JSON text.

        Raises:
            UserError: a row is malformed or its video is refused; the message names the row.
        """
        with self._one:
            try:
                asked = [self._let_in(number, row) for number, row in enumerate(rows, start=1)]
                # Video by video: its questions share a prefix, and what is wrong with it is said of its row.
                groups = groupby(asked, key=lambda one: one.question.video)
                return [prediction for _, group in groups for prediction in self._about_one(list(group))]
            finally:
                for folder in sorted(Path(self._scratch.name).iterdir()):
                    shutil.rmtree(folder)

    def _let_in(self, number: int, row: Mapping[Any, Any]) -> _Asked:
        with _told_of(number):
            named, video = self._video(row.get("video"), row.get(SENT))
            question = Question(
                video=str(video),
                question=_given(row.get("question")) or "",
                query_intervals=_listed("query_intervals", row.get("query_intervals")) or (),
                options=_listed("options", row.get("options")),
            )
        return _Asked(number, question, named)

    def _about_one(self, asked: list[_Asked]) -> list[Prediction]:
        with _told_of(asked[0].number):
            predictions = self.predictor.answer_batch([one.question for one in asked])
        return [
            prediction.model_copy(update={"video": one.named})
            for prediction, one in zip(predictions, asked, strict=True)
        ]

    def _video(self, path: object, data: object) -> tuple[str, Path]:
        """What the video is called in the answer, and a file whose path stands for its content.

        What was read of a video is remembered by its path; of a file that changes it must be forgotten.
        """
        path, data = _given(path), _given(data)
        if (path is None) == (data is None):
            raise UserError(f"give either video, a path, or {SENT}, a file's content")
        if isinstance(data, bytes):
            return self._sent(data)
        if not isinstance(path, str):
            raise UserError(f"video is no text and {SENT} no bytes; send base64 in JSON")
        file = resolve_video(self.videos, path) if self.videos else Path(path).absolute()
        check_regular(file)
        found = file.stat()
        identity = digest_json([str(file), found.st_ino, found.st_size, found.st_mtime_ns])
        link = self._place(identity) / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        return path, link

    def _sent(self, data: bytes) -> tuple[str, Path]:
        if len(data) > self.config.video_mb * _MIB:
            raise UserError(f"{SENT}: more than {self.config.video_mb} MiB; cut the video or name its path")
        digest = hashlib.sha256(data).hexdigest()
        file = self._place(digest) / SENT
        file.write_bytes(data)
        return f"sha256:{digest}", file

    def _place(self, identity: str) -> Path:
        place = Path(self._scratch.name) / identity
        place.mkdir(exist_ok=True)
        return place


@contextmanager
def _told_of(number: int) -> Iterator[None]:
    """Say of which row it is that something is wrong with."""
    try:
        yield
    except ValidationError as error:
        raise UserError(f"row {number}: {validation_reason(error)}") from None
    except UserError as error:
        raise UserError(f"row {number}: {error}") from None


def _given(cell: object) -> object:
    """A cell; None where it is empty, which tables say by None, NaN or an empty text."""
    is_nan = isinstance(cell, float) and cell != cell
    return None if is_nan or (isinstance(cell, str | bytes) and not cell) else cell


def _listed(name: str, cell: object) -> Any:
    """A list, as such or as JSON text; None where the cell is empty.

    Raises:
        UserError: it is something else.
    """
    found = _given(cell)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except json.JSONDecodeError:
            found = cell
    # Tables keep lists as arrays.
    found = found.tolist() if isinstance(found, np.ndarray) else found
    if found is not None and not isinstance(found, list | tuple):
        raise UserError(f"{name} is no list; give a list, or one as JSON text")
    return found
