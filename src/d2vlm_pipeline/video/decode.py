"""Sandboxed decoding: videos in, sampled frames or the reason for a refusal out, in input order."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video.process import DecodeWorker
from d2vlm_pipeline.video.source import DecodeLimits, VideoError
from d2vlm_pipeline.video.worker import Job, Reply

Item = TypeVar("Item")
Answer = tuple[Reply, np.ndarray | None]


class DecodePool:
    """Persistent decode workers behind threads: one thread waits for each worker.

    Workers start at their first job, survive between videos, and are replaced when they die or hang; that
    costs the one video. Close the pool, or use it as a context manager.
    """

    def __init__(self, workers: int = 2, command: Sequence[str] | None = None) -> None:
        if workers < 1:
            raise ValueError(f"at least one worker, got {workers}")
        self._all = [DecodeWorker(command) for _ in range(workers)]
        self._idle: queue.SimpleQueue[DecodeWorker] = queue.SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.pid for worker in self._all if worker.pid is not None]

    def close(self) -> None:
        """End all workers; jobs under way fail."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.stop()
        self._threads.shutdown(wait=True)
        for worker in self._all:
            worker.kill()

    def decode(
        self, path: Path | str, policy: SamplingPolicy, size_px: int | None, limits: DecodeLimits
    ) -> tuple[np.ndarray, TimeBase]:
        """One video: see `decode_frames`."""
        for result in self.decode_many([path], policy, size_px, limits):
            if len(result) == 2:
                raise result[1]
            return result[1], result[2]
        raise AssertionError("unreachable: one item in, one result out")

    def decode_many(
        self,
        items: Iterable[Item],
        policy: SamplingPolicy,
        size_px: int | None,
        limits: DecodeLimits,
        path_of: Callable[[Item], Path | str] = Path,  # type: ignore[assignment]
    ) -> Iterator[tuple[Item, np.ndarray, TimeBase] | tuple[Item, VideoError]]:
        """See the function `decode_many`."""

        def job_of(item: Item) -> Job:
            return Job(op="decode", path=str(path_of(item)), policy=policy, size_px=size_px, limits=limits)

        for item, answer in self.run((item, job_of(item)) for item in items):
            if isinstance(answer, VideoError):
                yield item, answer
                continue
            reply, frames_THWC = answer
            if frames_THWC is None or reply.timebase is None:
                raise RuntimeError(f"decode worker sent no frames for {item}")
            yield item, frames_THWC, reply.timebase

    def run(
        self, jobs: Iterable[tuple[Item, Job | VideoError]]
    ) -> Iterator[tuple[Item, Answer | VideoError]]:
        """Answers in input order, at most 2 × workers ahead of the consumer; an error as job is passed on."""
        pending: deque[tuple[Item, Future[Answer | VideoError] | VideoError]] = deque()
        try:
            for item, job in jobs:
                pending.append(
                    (item, job if isinstance(job, VideoError) else self._threads.submit(self._one, job))
                )
                if len(pending) >= 2 * len(self._all):
                    yield _settled(pending.popleft())
            while pending:
                yield _settled(pending.popleft())
        finally:
            for _, future in pending:
                if isinstance(future, Future):
                    future.cancel()

    def _one(self, job: Job) -> Answer | VideoError:
        worker = self._idle.get()
        try:
            return worker.run(job)
        except VideoError as error:
            return error
        finally:
            self._idle.put(worker)


def decode_many(
    items: Iterable[Item],
    policy: SamplingPolicy,
    size_px: int | None,
    limits: DecodeLimits,
    workers: int,
    path_of: Callable[[Item], Path | str] = Path,  # type: ignore[assignment]
) -> Iterator[tuple[Item, np.ndarray, TimeBase] | tuple[Item, VideoError]]:
    """Decode many videos in worker processes: one result per item, in input order.

    Args:
        items: paths, or anything of which `path_of` makes a path.
        size_px: H = W of the frames; None keeps the native size.

    Yields:
        (item, frames uint8 [T, H, W, 3], TimeBase), or (item, VideoError) for a video that is refused.

    The results are the same for any number of workers; at most 2 × workers of them exist at a time.
    """
    with DecodePool(workers) as pool:
        yield from pool.decode_many(items, policy, size_px, limits, path_of)


def decode_frames(
    path: Path | str, policy: SamplingPolicy, size_px: int | None, limits: DecodeLimits
) -> tuple[np.ndarray, TimeBase]:
    """Decode one video in a worker process of its own: (frames uint8 [T, H, W, 3] RGB, TimeBase).

    Starting the worker costs about half a second; keep a DecodePool for more than one video.

    Raises:
        VideoError: the video is refused, or it cost the worker its life.
    """
    with DecodePool(1) as pool:
        return pool.decode(path, policy, size_px, limits)


def _settled(
    entry: tuple[Item, Future[Answer | VideoError] | VideoError],
) -> tuple[Item, Answer | VideoError]:
    item, outcome = entry
    return item, outcome if isinstance(outcome, VideoError) else outcome.result()
