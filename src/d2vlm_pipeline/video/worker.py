"""The process that touches untrusted video: it reads jobs on stdin and answers on stdout until stdin closes.

The channel carries JSON and raw pixels, never pickles: what a hostile file makes of this process cannot run
in its parent. A job that exceeds its CPU time, or hangs after its parent is gone, ends the process by signal;
one that exceeds its memory gets an error.
"""

from __future__ import annotations

import math
import os
import pkgutil
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from d2vlm_pipeline.artifacts import StrictModel, digest_file, seed_process
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video.fingerprints import SIZE_PX, spread_frames
from d2vlm_pipeline.video.frames import read_frames, read_video, sample_video
from d2vlm_pipeline.video.probe import VideoProbe, probe_of, probe_video
from d2vlm_pipeline.video.source import DecodeLimits, VideoError, VideoReason, video_error

_LENGTH = struct.Struct("<I")
MAX_HEADER_BYTES = 64 << 20
# The parent kills a late worker; this is for a worker whose parent is gone.
_ORPHAN_GRACE_S = 30


class Job(StrictModel):
    """`inspect`: probe, digest and times of a file, with `verify` proof that it decodes. `decode`: frames."""

    op: Literal["inspect", "decode"]
    path: str
    policy: SamplingPolicy
    size_px: int | None = None
    verify: bool = False
    limits: DecodeLimits = DecodeLimits()


class Reply(StrictModel):
    """Answer to a job: an error (`code`, `message`) or what its `op` gives; `shape` announces raw pixels."""

    code: VideoReason | None = None
    message: str = ""
    probe: VideoProbe | None = None
    digest: str | None = None
    timebase: TimeBase | None = None
    shape: tuple[int, int, int, int] | None = None


Handler = Callable[[Job], tuple[Reply, memoryview | None]]


def run_job(job: Job) -> tuple[Reply, memoryview | None]:
    """Do one job in this process.

    Raises:
        VideoError: the file is refused.
    """
    path = Path(job.path)
    seed_process(0, "video", job.op)
    if job.op == "inspect":
        if not job.verify:
            probe, timebase = probe_video(path, job.limits), sample_video(path, job.policy, job.limits)
            return Reply(probe=probe, digest=digest_file(path), timebase=timebase), None
        reading = read_video(path, job.policy, SIZE_PX, job.limits)
        reply = Reply(probe=probe_of(reading), digest=digest_file(path), timebase=reading.timebase)
        return _with_frames(reply, spread_frames(reading.frames_THWC))
    frames_THWC, timebase = read_frames(path, job.policy, job.size_px, job.limits)
    return _with_frames(Reply(timebase=timebase), frames_THWC)


def _with_frames(reply: Reply, frames_THWC: np.ndarray) -> tuple[Reply, memoryview]:
    count, height, width, channels = frames_THWC.shape
    return reply.model_copy(update={"shape": (count, height, width, channels)}), frames_THWC.data.cast("B")


def serve(requests: BinaryIO, replies: BinaryIO, handler: Handler = run_job) -> None:
    """Answer jobs until `requests` ends. The first message out, an empty Reply, says that it is ready."""
    idle_bytes = _address_space_bytes()
    _send(replies, Reply(), None)
    while (message := receive(requests)) is not None:
        job = Job.model_validate_json(message)
        with _budget(job.limits, idle_bytes):
            reply, pixels = _answer(job, handler)
        _send(replies, reply, pixels)


def main(handler: Handler = run_job) -> None:
    """Serve on the standard streams; whatever else would print to stdout goes to stderr."""
    _import_all()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(requests, replies, handler)


def _import_all() -> None:
    """Load what a job may need before budgets are measured and set: none may open a file but its video.

    PyAV loads the parts for subtitles, sound and filters when a file first has such a stream.
    """
    import av

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name != "av.__main__":
            import_module(module.name)


def send_message(stream: BinaryIO, message: bytes) -> None:
    """Write one length-prefixed message."""
    stream.write(_LENGTH.pack(len(message)) + message)


def receive(stream: BinaryIO) -> bytes | None:
    """Next message, None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


def _answer(job: Job, handler: Handler) -> tuple[Reply, memoryview | None]:
    try:
        return handler(job)
    except VideoError as error:
        refusal = error
    except OSError as error:
        refusal = video_error("unreadable", job.path, error.strerror or type(error).__name__)
    except MemoryError:
        refusal = video_error("memory_limit", job.path, f"needs more than memory_mb={job.limits.memory_mb}")
    return Reply(code=refusal.code, message=refusal.message), None


def _send(replies: BinaryIO, reply: Reply, pixels: memoryview | None) -> None:
    send_message(replies, reply.model_dump_json(exclude_none=True).encode())
    if pixels is not None:
        replies.write(pixels)
    replies.flush()


@contextmanager
def _budget(limits: DecodeLimits, idle_bytes: int) -> Iterator[None]:
    """Limit CPU time, address space, open files and, for orphans, wall time while one job runs."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(usage.ru_utime + usage.ru_stime + limits.cpu_s)
    with (
        _soft(resource.RLIMIT_CPU, cpu_s),
        _soft(resource.RLIMIT_AS, idle_bytes + (limits.memory_mb << 20)),
        # The video itself and nothing beside it: neither another file nor a socket can be opened meanwhile.
        _soft(resource.RLIMIT_NOFILE, _free_descriptor() + 1),
    ):
        signal.alarm(math.ceil(limits.wall_s) + _ORPHAN_GRACE_S)
        try:
            yield
        finally:
            signal.alarm(0)


@contextmanager
def _soft(kind: int, value: int) -> Iterator[None]:
    """Lower a soft limit and restore it; a tighter limit that is already there stays."""
    before, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if before == resource.RLIM_INFINITY else min(value, before), hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (before, hard))


def _free_descriptor() -> int:
    """The number that the next file opened will get."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
