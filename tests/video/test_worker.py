"""The worker's side of the channel, in this process."""

import errno
import io
import resource
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import digest_file
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, probe_video
from d2vlm_pipeline.video.frames import read_frames, sample_video
from d2vlm_pipeline.video.worker import Job, Reply, receive, send_message, serve

POLICY = SamplingPolicy()


def exchange(*jobs: Job, **handler: object) -> io.BytesIO:
    requests, replies = io.BytesIO(), io.BytesIO()
    for job in jobs:
        send_message(requests, job.model_dump_json().encode())
    requests.seek(0)
    serve(requests, replies, **handler)  # type: ignore[arg-type]
    replies.seek(0)
    assert Reply.model_validate_json(receive(replies) or b"") == Reply(), "the first message says ready"
    return replies


def reply_of(replies: io.BytesIO) -> Reply:
    return Reply.model_validate_json(receive(replies) or b"")


def test_inspect_then_decode(late_clip: Path) -> None:
    decode = Job(op="decode", path=str(late_clip), policy=POLICY, size_px=8)
    replies = exchange(Job(op="inspect", path=str(late_clip), policy=POLICY), decode)

    inspected = reply_of(replies)
    assert inspected.probe == probe_video(late_clip)
    assert inspected.digest == digest_file(late_clip)
    assert inspected.timebase == sample_video(late_clip, POLICY, DecodeLimits())

    decoded = reply_of(replies)
    expected_THWC, timebase = read_frames(late_clip, POLICY, 8, DecodeLimits())
    assert decoded.timebase == timebase == inspected.timebase
    assert decoded.shape == expected_THWC.shape
    pixels = np.frombuffer(replies.read(expected_THWC.nbytes), np.uint8).reshape(expected_THWC.shape)
    assert np.array_equal(pixels, expected_THWC)
    assert receive(replies) is None


def test_a_refusal_is_an_answer_and_the_next_job_runs(steady_clip: Path, tmp_path: Path) -> None:
    none = Job(op="decode", path=str(tmp_path / "none.mp4"), policy=POLICY)
    replies = exchange(none, Job(op="inspect", path=str(steady_clip), policy=POLICY))
    refusal = reply_of(replies)
    assert (refusal.code, refusal.message) == ("missing", "none.mp4: no such file; check the path")
    assert reply_of(replies).code is None


def test_budgets_hold_during_the_job_only(tmp_path: Path) -> None:
    during: list[tuple[int, int]] = []

    def watch(job: Job) -> tuple[Reply, None]:
        during.append((resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_AS)[0]))
        raise MemoryError

    before = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_AS)
    limits = DecodeLimits(cpu_s=500.0, memory_mb=4096)
    job = Job(op="inspect", path=str(tmp_path / "a.mp4"), policy=POLICY, limits=limits)
    replies = exchange(job, handler=watch)
    assert reply_of(replies).code == "memory_limit"
    assert (resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_AS)) == before
    cpu_s, address_space = during[0]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert 500 <= cpu_s <= 502 + usage.ru_utime + usage.ru_stime
    assert address_space > 4096 << 20


def test_workers_stay_light() -> None:
    code = "import sys, d2vlm_pipeline.video.worker, d2vlm_pipeline.video.frames, d2vlm_pipeline.video; "
    code += "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "mlflow", "kedro", "ray", "pandas", "scipy", "matplotlib", "av", "PIL"}
    assert not heavy & set(result.stdout.split())


def test_a_job_may_open_one_file_at_a_time_and_no_socket(steady_clip: Path) -> None:
    outcomes: list[str] = []

    def greedy(job: Job) -> tuple[Reply, None]:
        with open(job.path, "rb"):
            for opening in (Path(job.path).read_bytes, socket.socket):
                with pytest.raises(OSError, match="Too many open files"):
                    opening()
                outcomes.append("refused")
        return Reply(), None

    exchange(Job(op="decode", path=str(steady_clip), policy=POLICY), handler=greedy)
    assert outcomes == ["refused", "refused"]
    with open(steady_clip, "rb"), open(steady_clip, "rb"):
        pass


def test_a_disk_that_cannot_be_read_costs_one_video(steady_clip: Path) -> None:
    def broken(job: Job) -> tuple[Reply, None]:
        raise OSError(errno.EIO, "Input/output error")

    refusal = reply_of(exchange(Job(op="decode", path=str(steady_clip), policy=POLICY), handler=broken))
    assert (refusal.code, refusal.message) == (
        "unreadable",
        "steady.mp4: Input/output error; make the file readable",
    )
