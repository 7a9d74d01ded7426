"""The parent's end of one decode worker: start it, give it a job, watch the clock, bury it."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

import d2vlm_pipeline
from d2vlm_pipeline.video.fingerprints import FRAMES
from d2vlm_pipeline.video.source import VideoError, video_error
from d2vlm_pipeline.video.worker import MAX_HEADER_BYTES, Job, Reply, send_message

_START_LIMIT_S = 120.0
_LENGTH = struct.Struct("<I")


class WorkerGone(Exception):
    """The worker closed its end, or was too late (`is_late`)."""

    def __init__(self, is_late: bool) -> None:
        super().__init__("late" if is_late else "closed")
        self.is_late = is_late


def worker_command() -> list[str]:
    """Command line of a worker: this interpreter and this package, no code from the working directory."""
    package_root = str(Path(d2vlm_pipeline.__file__).resolve().parents[1])
    start = "import sys; sys.path.append(sys.argv[1]); from d2vlm_pipeline.video.worker import main; main()"
    return [sys.executable, "-P", "-c", start, package_root]


class DecodeWorker:
    """One worker process, started at its first job and again after it was lost.

    One thread runs jobs; another may `stop` it meanwhile.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = list(command) if command is not None else worker_command()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id while a worker is there."""
        return self._process.pid if self._process is not None else None

    def run(self, job: Job) -> tuple[Reply, np.ndarray | None]:
        """The worker's reply and, for `decode`, the frames, uint8 [T, H, W, 3].

        Raises:
            VideoError: the worker refused the file, or the file cost the worker its life.
            RuntimeError: no worker can be started; nothing to do with the file.
        """
        process = self._started()
        deadline_s = time.monotonic() + job.limits.wall_s
        try:
            _write(process, job)
            reply = _read_reply(process, deadline_s)
            pixels = _read_pixels(process, reply, job, deadline_s) if reply.shape is not None else None
        except WorkerGone as gone:
            raise self._obituary(job, gone) from None
        except (ValidationError, ValueError) as error:
            self.kill()
            raise video_error("decoder_died", job.path, "the decoder answered nonsense") from error
        if reply.code is not None:
            raise VideoError(reply.code, reply.message)
        return reply, pixels

    def stop(self) -> None:
        """End the process, for good: a job under way fails, none is started any more."""
        with self._starting:
            self._is_stopped = True
            process = self._process
        # The waiting thread closes the pipes: closed here, their descriptors could be reused under its hands.
        if process is not None:
            process.kill()

    def kill(self) -> int | None:
        """End the process at once; its exit status (negative: signal), None where there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        return process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.kill()
        process = self._launched()
        try:
            _read_reply(process, time.monotonic() + _START_LIMIT_S)
        except (WorkerGone, ValidationError) as error:
            raise RuntimeError(f"decode worker does not start (exit status {self.kill()})") from error
        return process

    def _launched(self) -> subprocess.Popen[bytes]:
        # One thread per numeric library: the pool's size alone says how many cores are used.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self._starting:
            if self._is_stopped:
                raise RuntimeError("the decode pool is closed")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # Ctrl-C goes to the parent alone, which then stops its workers
            )
            return self._process

    def _obituary(self, job: Job, gone: WorkerGone) -> VideoError:
        if gone.is_late:
            self.kill()
            return video_error("timeout", job.path, f"not decoded after wall_s={job.limits.wall_s:g}")
        status = self._exit_status()
        if status == -signal.SIGXCPU:
            return video_error(
                "timeout", job.path, f"not decoded after cpu_s={job.limits.cpu_s:g} of CPU time"
            )
        how = signal.strsignal(-status) or f"signal {-status}" if status < 0 else f"exit status {status}"
        return video_error("decoder_died", job.path, f"the decoder died ({how})")

    def _exit_status(self) -> int:
        """Status of a process that has closed its end: let it finish dying, so that the cause is its own."""
        process = self._process
        if process is None:
            return -signal.SIGKILL
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
        self.kill()
        return status


def _write(process: subprocess.Popen[bytes], job: Job) -> None:
    assert process.stdin is not None
    try:
        send_message(process.stdin, job.model_dump_json().encode())  # type: ignore[arg-type]
    except BrokenPipeError:
        raise WorkerGone(is_late=False) from None


def _read_reply(process: subprocess.Popen[bytes], deadline_s: float) -> Reply:
    head = bytearray(_LENGTH.size)
    _read_into(process, memoryview(head), deadline_s)
    length = _LENGTH.unpack(head)[0]
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"reply of {length} bytes")
    body = bytearray(length)
    _read_into(process, memoryview(body), deadline_s)
    return Reply.model_validate_json(bytes(body))


def _read_pixels(process: subprocess.Popen[bytes], reply: Reply, job: Job, deadline_s: float) -> np.ndarray:
    """The announced frames; the announcement is checked first, because a hostile file may have written it."""
    shape = reply.shape
    assert shape is not None
    expected = 0 if reply.timebase is None else len(reply.timebase)
    if job.op == "inspect":
        expected = min(expected, FRAMES)
    is_plausible = min(shape) > 0 and shape[3] == 3 and shape[0] == expected
    if not is_plausible or np.prod(shape, dtype=object) > job.limits.max_output_mb << 20:
        raise ValueError(f"frames of shape {shape}")
    frames_THWC = np.empty(shape, np.uint8)
    _read_into(process, frames_THWC.data.cast("B"), deadline_s)
    return frames_THWC


def _read_into(process: subprocess.Popen[bytes], buffer: memoryview, deadline_s: float) -> None:
    """Fill `buffer` from the worker.

    Raises:
        WorkerGone: the worker closed its end, or the deadline passed.
    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while buffer:
        left_ms = max(0.0, deadline_s - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            raise WorkerGone(is_late=True)
        count = os.readv(descriptor, [buffer])
        if count == 0:
            raise WorkerGone(is_late=False)
        buffer = buffer[count:]
