"""Ways to read every n-th frame of a video at SIZE_PX: ours and the readers that people use."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.footage import FPS
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, DecodePool
from d2vlm_pipeline.video.frames import read_frames

SIZE_PX = 224
THREADS = 2
LIMITS = DecodeLimits(threads=THREADS, wall_s=600.0, cpu_s=600.0)


class Read(NamedTuple):
    """Frames uint8 [T, SIZE_PX, SIZE_PX, 3] and when they are presented."""

    frames_THWC: np.ndarray
    times_s: list[float]


Reader = Callable[[Path, int], Read]
"""(file, n) → every n-th frame, from the first."""


def policy(every: int) -> SamplingPolicy:
    """What asks for every n-th frame of FPS."""
    return SamplingPolicy(fps=FPS / every, max_frames=1_000_000)


def ours(path: Path, every: int) -> Read:
    """Ours in this process."""
    frames_THWC, timebase = read_frames(path, policy(every), SIZE_PX, LIMITS)
    return Read(frames_THWC, list(timebase.times_s))


def sandboxed(pool: DecodePool) -> Reader:
    """Ours in a worker that has started already."""

    def read(path: Path, every: int) -> Read:
        frames_THWC, timebase = pool.decode(path, policy(every), SIZE_PX, LIMITS)
        return Read(frames_THWC, list(timebase.times_s))

    return read


def plain_pyav(path: Path, every: int) -> Read:
    """Decode everything, convert what is kept."""
    import av

    frames, times_s = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = "AUTO", THREADS
        for number, frame in enumerate(container.decode(stream)):
            if number % every == 0:
                frames.append(frame.to_ndarray(format="rgb24", width=SIZE_PX, height=SIZE_PX))
                times_s.append(frame.time)
    return Read(np.stack(frames), times_s)


def opencv() -> Reader:
    """`grab` everything, `retrieve` what is kept."""
    cv2: Any = import_module("cv2")
    cv2.setNumThreads(THREADS)

    def read(path: Path, every: int) -> Read:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, THREADS])
        frames, times_s, number = [], [], 0
        while capture.grab():
            if number % every == 0:
                times_s.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                pixels_HWC = cv2.resize(capture.retrieve()[1], (SIZE_PX, SIZE_PX))
                frames.append(cv2.cvtColor(pixels_HWC, cv2.COLOR_BGR2RGB))
            number += 1
        capture.release()
        return Read(np.stack(frames), times_s)

    return read


def torchcodec() -> Reader:
    """Ask for the frames by number and let the decoder scale them (its approximate seeking is no faster)."""
    decoders: Any = import_module("torchcodec.decoders")
    transforms: Any = import_module("torchcodec.transforms")

    def read(path: Path, every: int) -> Read:
        decoder = decoders.VideoDecoder(
            str(path),
            dimension_order="NHWC",
            num_ffmpeg_threads=THREADS,
            transforms=[transforms.Resize((SIZE_PX, SIZE_PX))],
        )
        batch = decoder.get_frames_at(list(range(0, len(decoder), every)))
        return Read(batch.data.numpy(), batch.pts_seconds.tolist())

    return read


def others() -> tuple[dict[str, Reader], dict[str, str]]:
    """The other readers that load here, and why the rest does not."""
    factories: dict[str, Callable[[], Reader]] = {
        "OpenCV": opencv,
        "torchcodec": torchcodec,
        "PyAV": lambda: plain_pyav,
    }
    readers: dict[str, Reader] = {}
    missing: dict[str, str] = {}
    for name, factory in factories.items():
        try:
            readers[name] = factory()
        except (ImportError, RuntimeError, OSError) as error:  # torchcodec without FFmpeg's libraries
            missing[name] = str(error).strip().splitlines()[0]
    return readers, missing
