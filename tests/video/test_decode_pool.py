"""Decoding in worker processes: what a bad video costs, and what it must not cost."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, DecodePool, VideoError, decode_frames, decode_many
from d2vlm_pipeline.video.frames import read_frames
from video.clips import numbers_of, steady_ms, write_clip
from video.misbehave import COMMAND

POLICY = SamplingPolicy()
LIMITS = DecodeLimits()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pool")
    good = [write_clip(folder / f"{i}.mp4", steady_ms(20 + 5 * i)) for i in range(5)]
    text = folder / "text.mp4"
    text.write_text("no video" * 100)
    return [*good[:3], text, *good[3:], folder / "none.mp4"]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def wild() -> Iterator[DecodePool]:
    """A pool of one worker that misbehaves as the file name says."""
    with DecodePool(1, command=COMMAND) as pool:
        yield pool


def outcome(result: tuple) -> object:
    return result[1].code if len(result) == 2 else (result[1].tobytes(), result[2])


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_equal_those_in_process(clips: list[Path], workers: int) -> None:
    results = list(decode_many(clips, POLICY, 24, LIMITS, workers))
    assert [result[0] for result in results] == clips
    expected: list[object] = []
    for path in clips:
        try:
            frames_THWC, timebase = read_frames(path, POLICY, 24, LIMITS)
            expected.append((frames_THWC.tobytes(), timebase))
        except VideoError as error:
            expected.append(error.code)
    assert [outcome(result) for result in results] == expected
    assert expected.count("not_a_video") == expected.count("missing") == 1


def test_items_may_be_anything_that_has_a_path(pool: DecodePool, clips: list[Path]) -> None:
    rows = [{"file": clips[1]}, {"file": clips[0]}]
    results = list(pool.decode_many(rows, POLICY, 16, LIMITS, path_of=lambda row: row["file"]))
    assert [result[0] for result in results] == rows
    assert [len(result[1]) for result in results if len(result) == 3] == [5, 4]


def test_workers_survive_between_videos(pool: DecodePool, clips: list[Path]) -> None:
    list(pool.decode_many(clips, POLICY, 16, LIMITS))
    pids = pool.pids
    list(pool.decode_many(clips * 2, POLICY, 16, LIMITS))
    assert pool.pids == pids and len(pids) == 2


def test_a_worker_killed_between_videos_costs_none(pool: DecodePool, clips: list[Path]) -> None:
    list(pool.decode_many(clips[:3], POLICY, 16, LIMITS))
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert all(len(result) == 3 for result in pool.decode_many(clips[:3], POLICY, 16, LIMITS))


def test_one_video_alone(clips: list[Path]) -> None:
    frames_THWC, timebase = decode_frames(clips[0], POLICY, None, LIMITS)
    assert (frames_THWC.shape, frames_THWC.dtype, len(timebase)) == ((4, 48, 64, 3), np.dtype(np.uint8), 4)
    assert numbers_of(frames_THWC) == [0, 5, 10, 15]
    with pytest.raises(VideoError) as caught:
        decode_frames(clips[-1], POLICY, None, LIMITS)
    assert caught.value.code == "missing"


def test_the_consumer_sets_the_pace(pool: DecodePool, clips: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield clips[0]

    results = pool.decode_many(endless(), POLICY, 16, LIMITS)
    for seen in range(1, 6):
        next(results)
        assert taken - seen < 2 * 2
    results.close()


@pytest.mark.parametrize(
    ("stem", "limits", "code", "word"),
    [
        ("hang", {"wall_s": 1.0}, "timeout", "wall_s=1"),
        ("spins", {"cpu_s": 0.1}, "timeout", "cpu_s=0.1"),
        ("killed", {}, "decoder_died", "Killed"),
        ("exits", {}, "decoder_died", "status 3"),
        ("greedy", {"memory_mb": 64}, "memory_limit", "memory_mb=64"),
        ("lies", {}, "decoder_died", "nonsense"),
        ("sends_half", {"wall_s": 1.0}, "timeout", "wall_s=1"),
    ],
)
def test_a_bad_end_costs_one_video(
    wild: DecodePool, clips: list[Path], stem: str, limits: dict[str, float], code: str, word: str
) -> None:
    path = Path(f"/clips/{stem}.mp4")
    with pytest.raises(VideoError) as caught:
        wild.decode(path, POLICY, 16, DecodeLimits.model_validate(limits))
    assert caught.value.code == code
    assert word in str(caught.value) and str(caught.value).startswith(path.name)
    frames_THWC, _ = wild.decode(clips[0], POLICY, 16, LIMITS)
    assert numbers_of(frames_THWC) == [0, 5, 10, 15]


def test_neighbours_of_a_dying_worker_are_unharmed(clips: list[Path]) -> None:
    bad = Path("/clips/killed.mp4")
    items = [clips[0], bad, clips[1], bad, clips[2]]
    with DecodePool(2, command=COMMAND) as pool:
        results = list(pool.decode_many(items, POLICY, 16, LIMITS))
    assert [result[0] for result in results] == items
    assert [len(result) for result in results] == [3, 2, 3, 2, 3]


def test_what_a_worker_prints_does_not_reach_the_channel(wild: DecodePool, clips: list[Path]) -> None:
    loud = clips[0].with_name("babbles.mp4")
    loud.write_bytes(clips[0].read_bytes())
    assert numbers_of(wild.decode(loud, POLICY, 16, LIMITS)[0]) == [0, 5, 10, 15]


def test_a_memory_budget_holds_for_real_frames(tmp_path: Path, pool: DecodePool) -> None:
    path = write_clip(tmp_path / "large.mp4", steady_ms(4), size=(1920, 1088))
    every = SamplingPolicy(fps=10.0)
    with pytest.raises(VideoError) as caught:
        pool.decode(path, every, None, DecodeLimits(memory_mb=16))
    assert caught.value.code == "memory_limit"
    assert len(pool.decode(path, every, None, LIMITS)[0]) == 4


def test_scrambled_files_are_refused_or_decoded_never_worse(
    tmp_path: Path, pool: DecodePool, clips: list[Path]
) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(30):
        data = bytearray(clips[0].read_bytes())
        for position in rng.integers(0, len(data), 1 + number % 6):
            data[position] = rng.integers(0, 256)
        paths.append(tmp_path / f"{number}.mp4")
        paths[-1].write_bytes(data)
    results = list(pool.decode_many(paths, POLICY, 16, LIMITS))
    assert [result[0] for result in results] == paths
    refused = [result[1].code for result in results if len(result) == 2]
    assert 0 < len(refused) < 30


def test_a_worker_that_cannot_start_is_no_fault_of_the_video(clips: list[Path]) -> None:
    with (
        DecodePool(1, command=[sys.executable, "-c", "raise SystemExit(7)"]) as pool,
        pytest.raises(RuntimeError, match="exit status 7"),
    ):
        pool.decode(clips[0], POLICY, 16, LIMITS)


def test_closing_ends_every_worker(clips: list[Path]) -> None:
    results = decode_many(clips, POLICY, 16, LIMITS, 2)
    next(results)
    before = child_pids()
    results.close()
    del results
    gc.collect()
    assert len(before - child_pids()) == 2


def test_a_closed_pool_refuses_work(clips: list[Path]) -> None:
    pool = DecodePool(1)
    pool.close()
    with pytest.raises(RuntimeError):
        pool.decode(clips[0], POLICY, 16, LIMITS)


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        DecodePool(0)


def child_pids() -> set[int]:
    """Processes whose parent is this one."""
    pids = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            pids.add(int(status.parent.name))
    return pids
