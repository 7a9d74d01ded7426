"""The clips that memory is measured over: all different, all good."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.features import KINDS, tree_mb
from benchmarks.features_job import CLIP_S, SHAPES, TABLE, write_clips

from d2vlm_pipeline.artifacts import digest_file
from d2vlm_pipeline.timeline import SamplingPolicy, read_jsonl
from d2vlm_pipeline.video import DecodeLimits, VideoRow
from d2vlm_pipeline.video.frames import read_frames


def test_clips_differ_in_their_bytes_and_are_read_alike(tmp_path: Path) -> None:
    write_clips(tmp_path, 2 * SHAPES, (64, 48), 8)
    rows = [row for _, row in read_jsonl(tmp_path / TABLE, VideoRow)]
    assert len({row.digest for row in rows}) == len(rows) == 2 * SHAPES
    frames = []
    for row in rows:
        assert digest_file(row.path) == row.digest
        frames_THWC, timebase = read_frames(Path(row.path), SamplingPolicy(fps=2.0), 32, DecodeLimits())
        assert timebase.duration_s == CLIP_S and len(timebase) == 4
        frames.append(frames_THWC.tobytes())
    assert frames[:SHAPES] == frames[SHAPES:] and len(set(frames)) == SHAPES


def test_the_memory_of_a_tree_is_that_of_all_its_processes(tmp_path: Path) -> None:
    alone = tree_mb(os.getpid())
    script = "import sys; kept = bytearray(b'x') * (40 << 20); print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        together = tree_mb(os.getpid())
        child.stdin.close()
    for kind in KINDS:
        assert together[kind] > alone[kind] + 30, kind
