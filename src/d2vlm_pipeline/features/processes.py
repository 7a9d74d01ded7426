"""Encoders in processes of their own; one that dies is replaced and costs the work that was under way."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from types import TracebackType
from typing import Self

import numpy as np

from d2vlm_pipeline.artifacts import UserError, digest_file, seed_with_torch
from d2vlm_pipeline.artifacts.spreading import end_with_parent
from d2vlm_pipeline.features.config import EncoderConfig
from d2vlm_pipeline.features.encoder import FrameEncoder, build_encoder
from d2vlm_pipeline.timeline import TimeBase
from d2vlm_pipeline.video import VideoRow

logger = logging.getLogger(__name__)

_RETRIES = 2


def _never_started() -> Future[np.ndarray]:
    future: Future[np.ndarray] = Future()
    future.set_exception(BrokenProcessPool())
    return future


@dataclass
class _Job:
    row: VideoRow
    timebase: TimeBase
    frames_THWC: np.ndarray
    future: Future[np.ndarray] = field(default_factory=_never_started)


class EncoderProcesses:
    """Frames of clips in, their features out in the same order. Use it as a context manager.

    The results do not depend on the number of processes.
    """

    def __init__(self, config: EncoderConfig, processes: int) -> None:
        self._config, self._processes = config, processes
        self._pending: deque[_Job] = deque()
        self._executor = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        """Clips that were put in and not yet taken out."""
        return len(self._pending)

    def put(self, row: VideoRow, timebase: TimeBase, frames_THWC: np.ndarray) -> None:
        """Have a clip encoded."""
        self._pending.append(_Job(row, timebase, frames_THWC))
        try:
            self._submit(self._pending[-1])
        except BrokenProcessPool:
            self._replace()

    def take(self) -> tuple[VideoRow, TimeBase, np.ndarray | UserError]:
        """The clip that was put in first, with its features or why there are none.

        Raises:
            UserError: its processes die again and again.
        """
        job = self._pending[0]
        outcome: np.ndarray | UserError
        for _ in range(1 + _RETRIES):
            try:
                outcome = job.future.result()
            except UserError as error:
                outcome = error
            except BrokenProcessPool:
                self._replace()
                continue
            self._pending.popleft()
            return job.row, job.timebase, outcome
        raise UserError(
            f"{job.row.path}: the process that encodes it dies, perhaps for want of memory; lower "
            "compute.workers or encoder.batch_frames"
        )

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._processes, get_context("spawn"), _start, (self._config,))

    def _submit(self, job: _Job) -> None:
        job.future = self._executor.submit(_encode, job.frames_THWC, job.row.path, str(job.row.digest))

    def _replace(self) -> None:
        """A new pool for the clips that the broken one has not encoded."""
        logger.warning("a process that encodes frames died: up to %d clips are encoded again", len(self))
        self._executor.shutdown()
        self._executor = self._started()
        for job in self._pending:
            if isinstance(job.future.exception(), BrokenProcessPool):
                try:
                    self._submit(job)
                except BrokenProcessPool:  # so soon: whoever takes the clip tries again
                    return


_encoder: FrameEncoder | None = None


def _start(config: EncoderConfig) -> None:
    """An encoder of its own and one thread for each process: results do not depend on how many there are."""
    global _encoder
    import torch

    end_with_parent()
    torch.set_num_threads(1)
    _encoder = build_encoder(config)


def _encode(frames_THWC: np.ndarray, path: str, digest: str) -> np.ndarray:
    if _encoder is None:
        raise RuntimeError("an encoder process was used before it was started")
    check_unchanged(path, digest)
    seed_with_torch(0, "encode", digest)
    return _encoder.encode(frames_THWC)


def check_unchanged(path: str, digest: str) -> None:
    """Features are kept by their video's digest: those of another content must not come under it.

    Raises:
        UserError: the file is not the one that was probed.
    """
    try:
        found = digest_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if found != digest:
        raise UserError(f"{path}: changed since it was probed")
