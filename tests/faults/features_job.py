"""Extracts features of a folder's clips, as the catalog does; killed from without, or by itself.

    python features_job.py FOLDER WORKERS KILL_AFTER

Every clip that was computed is a line of FOLDER/computed.txt. After so many it kills itself; 0: never.
"""

import os
import signal
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.features import (
    ClipFeatures,
    EfficientNetConfig,
    FeatureStream,
    LostClip,
    build_encoder,
    extract_features,
    save_store,
)
from d2vlm_pipeline.timeline import SamplingPolicy, read_jsonl
from d2vlm_pipeline.video import DecodeLimits, VideoRow

POLICY = SamplingPolicy(fps=2.0)
ENCODER = EfficientNetConfig(input_px=64, grid=2)
# Two clips of two frames fill a shard.
SHARD_BYTES = 4 * 4 * 471 * 2


def run(folder: Path, workers: int, kill_after: int) -> None:
    table = [row for _, row in read_jsonl(folder / "videos.jsonl", VideoRow)]

    def compute(missing: Sequence[VideoRow]) -> Generator[ClipFeatures | LostClip, None, None]:
        count = 0
        with (folder / "computed.txt").open("a") as log:
            for clip in extract_features(missing, POLICY, ENCODER, DecodeLimits(), workers):
                assert isinstance(clip, ClipFeatures)
                if kill_after and count == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                print(clip.video_digest, file=log, flush=True)
                yield clip

    stream = FeatureStream.of(table, POLICY.digest, build_encoder(ENCODER).digest, compute)
    with atomic_directory(folder / "store") as directory:
        save_store(stream, directory, folder / "cache", folder / "store", SHARD_BYTES)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
