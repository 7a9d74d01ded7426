"""One extraction of features as the pipeline does it, in a process that `benchmarks.features` watches.

    python -m benchmarks.features_job FOLDER WORKERS CPU,CPU… FPS ON_RAY

The folder holds clips and their table, videos.jsonl. Prints seconds per clip after a warm-up, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from d2vlm_pipeline.artifacts import atomic_directory, digest_bytes
from d2vlm_pipeline.features import (
    ClipFeatures,
    EfficientNetConfig,
    FeatureStream,
    LostClip,
    build_encoder,
    extract_features,
    save_store,
)
from d2vlm_pipeline.features.index import INDEX_NAME
from d2vlm_pipeline.timeline import SamplingPolicy, dump_jsonl, read_jsonl
from d2vlm_pipeline.video import DecodeLimits, VideoRow

CLIP_S = 2.0
SHAPES = 4
WARM_UP = 24
TABLE = "videos.jsonl"
ENCODER = EfficientNetConfig()


def write_clips(folder: Path, count: int, side: tuple[int, int], fps: int) -> None:
    """2-second clips of moving noise, no two alike, and their table; many differ in an empty box alone."""
    made = [_encoded(folder / "made.mp4", seed, side, fps) for seed in range(SHAPES)]
    rows = []
    for number in range(count):
        # A `free` box, which every reader of MP4 skips.
        data = made[number % SHAPES] + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        path = folder / f"{number:06d}.mp4"
        path.write_bytes(data)
        rows.append(VideoRow(video=path.name, path=str(path), digest=digest_bytes(data), status="ok"))
    (folder / TABLE).write_text(dump_jsonl(rows), encoding="utf-8")


def _encoded(path: Path, seed: int, side: tuple[int, int], fps: int) -> bytes:
    import av

    rng, (width, height) = np.random.default_rng(seed), side
    picture_HWC = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": "28", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(int(CLIP_S * fps)):
            moved_HWC = np.ascontiguousarray(np.roll(picture_HWC, 2 * index, axis=1))
            output.mux(stream.encode(av.VideoFrame.from_ndarray(moved_HWC, format="rgb24")))
        output.mux(stream.encode())
    data = path.read_bytes()
    path.unlink()
    return data


def job(folder: Path, workers: int, cpus: Sequence[int], fps: float, on_ray: bool) -> dict[str, float]:
    """Extract and store features of a folder's clips as the pipeline does; seconds per clip after warm-up."""
    os.sched_setaffinity(0, cpus)
    policy = SamplingPolicy(fps=fps)
    rows = [row for _, row in read_jsonl(folder / TABLE, VideoRow)]
    clock = _Clock(len(rows))
    find = _extraction(workers, on_ray)

    def compute(missing: Sequence[VideoRow]) -> Generator[ClipFeatures | LostClip, None, None]:
        for clip in find(missing, policy, ENCODER, DecodeLimits()):
            clock.tick()
            yield clip

    stream = FeatureStream.of(rows, policy.digest, build_encoder(ENCODER).digest, compute)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "store"
        with atomic_directory(place) as directory:
            save_store(stream, directory, place.with_name("cache"), place)
        assert len((place / INDEX_NAME).read_bytes().splitlines()) == len(rows)
    return clock.found


def _extraction(workers: int, on_ray: bool) -> Any:
    if not on_ray:
        return partial(extract_features, workers=workers)
    from d2vlm_pipeline.orchestration.ray_features import extract_on_ray
    from d2vlm_pipeline.orchestration.ray_settings import RaySettings

    return partial(extract_on_ray, settings=RaySettings(enabled=True, object_store_mb=128))


class _Clock:
    """Wall and CPU seconds per clip between the end of the warm-up and the last clip."""

    def __init__(self, clips: int) -> None:
        self._clips, self._seen = clips, 0
        self._begun = (0.0, 0.0)
        self.found: dict[str, float] = {}

    def tick(self) -> None:
        """One more clip is there."""
        self._seen += 1
        if self._seen == WARM_UP:
            self._begun = (time.perf_counter(), tree_cpu_s())
        if self._seen == self._clips and self._clips > WARM_UP:
            wall_s, cpu_s = time.perf_counter() - self._begun[0], tree_cpu_s() - self._begun[1]
            timed = self._clips - WARM_UP
            self.found = {"wall_s": wall_s / timed, "cpu_s": cpu_s / timed}


def tree_cpu_s() -> float:
    """CPU seconds of this process and all below it."""
    import psutil

    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Run a job and print what it found."""
    folder, workers, cpus, fps, on_ray = sys.argv[1:]
    allowed = [int(cpu) for cpu in cpus.split(",")]
    print(json.dumps(job(Path(folder), int(workers), allowed, float(fps), on_ray == "1")))


if __name__ == "__main__":
    main()
