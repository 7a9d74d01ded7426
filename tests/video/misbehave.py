"""A decode worker that does what the file name says: run by the pool's tests in place of the real one."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from d2vlm_pipeline.timeline import TimeBase
from d2vlm_pipeline.video.worker import Job, Reply, main, run_job

COMMAND = [sys.executable, __file__]
LIE = TimeBase(times_s=(0.0,), duration_s=1.0, fps_src=1.0, policy_digest="p")


def misbehave(job: Job) -> tuple[Reply, memoryview | None]:
    match Path(job.path).stem:
        case "hang":
            time.sleep(600)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exits":
            sys.exit(3)
        case "spins":
            while True:
                pass
        case "greedy":
            bytearray(1 << 30)
        case "lies":
            return Reply(timebase=LIE, shape=(1, 1 << 20, 1 << 20, 3)), None
        case "babbles":
            print("x" * 100, flush=True)
        case "sends_half":
            return Reply(timebase=LIE, shape=(1, 64, 64, 3)), memoryview(b"half")
    return run_job(job)


if __name__ == "__main__":
    main(misbehave)
