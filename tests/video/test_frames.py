"""The sampled frames against a brute-force reading of the whole file."""

import functools
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoError
from d2vlm_pipeline.video.frames import packet_runs, read_frames, sample_video
from d2vlm_pipeline.video.packets import PacketReader
from video.clips import (
    AVI,
    FASTSTART,
    OPEN_GROUPS,
    damaged,
    number_of,
    numbers_of,
    steady_ms,
    write_clip,
)

LIMITS = DecodeLimits()
EXACT = (
    Interpolation.BILINEAR
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)
GRADUAL = {"gop": 10, "options": {"preset": "medium", "x264-params": "intra-refresh=1:bframes=2"}}
HEVC = {"codec": "libx265", "gop": 12, "options": {"x265-params": "log-level=none:bframes=3:crf=16"}}
VARIABLE_MS = [700 + 1000 * i + extra for i in range(12) for extra in (0, 90, 400, 410)]
KINDS: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "steady": ("clip.mp4", steady_ms(80), {}),
    "ntsc": ("clip.mp4", [round(i * 1001 / 30) for i in range(90)], {}),
    "starts late": ("clip.mp4", steady_ms(60, start_ms=1234), {}),
    "variable": ("clip.mp4", VARIABLE_MS, {}),
    "index first": ("clip.mp4", VARIABLE_MS, {"container": FASTSTART}),
    "open groups": ("clip.mp4", VARIABLE_MS, {"options": OPEN_GROUPS, "gop": 6}),
    "open groups mkv": ("clip.mkv", steady_ms(80), {"options": OPEN_GROUPS, "gop": 6}),
    "one group": ("clip.mp4", VARIABLE_MS, {"gop": 250, "options": {"preset": "medium"}}),
    "keyframes only": ("clip.mp4", VARIABLE_MS, {"gop": 1}),
    "fragments": ("clip.mp4", steady_ms(80), {"container": {"movflags": "frag_keyframe+empty_moov"}}),
    "unreferenced frames": ("clip.mp4", steady_ms(80), {"options": {"preset": "medium"}, "gop": 20}),
    "unreferenced frames mkv": ("clip.mkv", steady_ms(80), {"options": {"preset": "medium"}, "gop": 20}),
    "gradual refresh": ("clip.mp4", steady_ms(80), GRADUAL),
    "gradual refresh mkv": ("clip.mkv", steady_ms(80), GRADUAL),
    "hevc": ("clip.mp4", steady_ms(60), HEVC),
    "hevc open groups": ("clip.mp4", steady_ms(60), HEVC | {"gop": 7}),
    "transport stream": ("clip.ts", steady_ms(60), {}),
    "avi": ("clip.avi", steady_ms(60), AVI),
}
POLICIES = [
    SamplingPolicy(fps=2.0),
    SamplingPolicy(fps=2.0, rounding="previous"),
    SamplingPolicy(fps=0.31),
    SamplingPolicy(fps=100.0),
    SamplingPolicy(fps=4.0, max_frames=5),
]


def presented(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every presented frame in order with its time from the first one, the slow way."""
    with av.open(str(path)) as container:
        frames = [
            (frame.time, frame.to_ndarray(format="rgb24", interpolation=EXACT))
            for frame in container.decode(video=0)
        ]
    return [(time_s - frames[0][0], pixels) for time_s, pixels in frames]


def brute_force(times_s: list[float], duration_s: float, policy: SamplingPolicy) -> list[int]:
    """Which frames the policy wants, by looking at all of them for every target."""
    indices = set()
    for target_s in policy.sample_times(duration_s):
        if policy.rounding == "previous":
            indices.add(max(i for i, time_s in enumerate(times_s) if time_s <= target_s + 1e-9))
        else:
            indices.add(min(range(len(times_s)), key=lambda i: (round(abs(times_s[i] - target_s), 9), i)))
    return sorted(indices)


Clips = Callable[[str], tuple[Path, list[tuple[float, np.ndarray]]]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """By kind: the file and all that it presents."""

    @functools.cache
    def clip(kind: str) -> tuple[Path, list[tuple[float, np.ndarray]]]:
        name, times_ms, arguments = KINDS[kind]
        path = write_clip(tmp_path_factory.mktemp("kinds") / name, times_ms, **arguments)
        everything = presented(path)
        assert numbers_of(np.stack([pixels for _, pixels in everything])) == list(range(len(times_ms)))
        return path, everything

    return clip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.fps:g}fps-{p.max_frames}-{p.rounding}")
@pytest.mark.parametrize("kind", KINDS)
def test_the_frames_are_those_of_a_full_decode(clips: Clips, kind: str, policy: SamplingPolicy) -> None:
    path, everything = clips(kind)
    frames_THWC, timebase = read_frames(path, policy, None, LIMITS)

    times_s = [time_s for time_s, _ in everything]
    expected = brute_force(times_s, timebase.duration_s, policy)
    assert numbers_of(frames_THWC) == expected
    assert timebase.times_s == pytest.approx([times_s[i] for i in expected], abs=1e-9)
    assert timebase.policy_digest == policy.digest
    # Not merely recognisable: skipping groups of pictures leaves no trace in those that are decoded.
    assert np.array_equal(frames_THWC, np.stack([everything[i][1] for i in expected]))
    assert sample_video(path, policy, LIMITS) == timebase


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps_ms=st.lists(st.integers(20, 900), min_size=1, max_size=40),
    start_ms=st.integers(0, 5000),
    gop=st.integers(1, 12),
    fps=st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.5]),
    rounding=st.sampled_from(["nearest", "previous"]),
)
def test_any_variable_rate(
    tmp_path: Path, gaps_ms: list[int], start_ms: int, gop: int, fps: float, rounding: str
) -> None:
    times_ms = list(itertools.accumulate(gaps_ms, initial=start_ms))
    path = write_clip(tmp_path / "clip.mp4", times_ms, gop=gop)
    policy = SamplingPolicy.model_validate({"fps": fps, "rounding": rounding})
    frames_THWC, timebase = read_frames(path, policy, 32, LIMITS)
    times_s = [(time_ms - start_ms) / 1000 for time_ms in times_ms]
    expected = brute_force(times_s, timebase.duration_s, policy)
    assert numbers_of(frames_THWC) == expected
    assert timebase.times_s == pytest.approx([times_s[i] for i in expected], abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    groups=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    data=st.data(),
)
def test_packet_runs_cover_every_wanted_frame_from_its_keyframe(
    groups: list[int], data: st.DataObject
) -> None:
    keys = [index == 0 for size in groups for index in range(size)]
    pts = list(range(len(keys)))
    wanted = data.draw(st.sets(st.sampled_from(pts), min_size=1))
    runs = packet_runs(pts, keys, wanted)
    covered = [index for start, end in runs for index in range(start, end)]
    assert covered == sorted(set(covered))
    assert all(keys[start] for start, _ in runs)
    for index in wanted:
        key = max(i for i in range(index + 1) if keys[i])
        assert set(range(key, index + 1)) <= set(covered)
    # Nothing past the last wanted frame of a group, and no group without one.
    for index in set(covered) - wanted:
        following = next((i for i in range(index + 1, len(keys)) if keys[i]), len(keys))
        assert any(index < later < following for later in wanted)


def test_a_frame_ahead_of_its_keyframe_needs_the_group_before() -> None:
    keys = [True, False, True, False, False]
    pts = [0, 1, 4, 2, 3]  # decode order; 2 and 3 reach across the keyframe at 4
    assert packet_runs(pts, keys, {3}) == [(0, 5)]
    assert packet_runs(pts, keys, {4}) == [(2, 3)]
    assert packet_runs(pts, keys, {0, 4}) == [(0, 1), (2, 3)]


def test_size_and_channels(steady_clip: Path) -> None:
    policy = SamplingPolicy(fps=1.0)
    frames_THWC, _ = read_frames(steady_clip, policy, 20, LIMITS)
    assert (frames_THWC.shape, frames_THWC.dtype) == ((4, 20, 20, 3), np.dtype(np.uint8))
    assert read_frames(steady_clip, policy, None, LIMITS)[0].shape == (4, 48, 64, 3)
    red, _, blue = frames_THWC[1, 10, 3]  # frame 10 = 0b1010: its second stripe is red, its first is blue
    assert red > 180 and blue < 80
    red, _, blue = frames_THWC[1, 10, 0]
    assert blue > 180 and red < 80


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("size_px", [16, 43, 47, 48, 49, 150])
def test_pixels_are_those_of_one_plain_conversion(tmp_path: Path, size_px: int, pix_fmt: str) -> None:
    path = write_clip(tmp_path / "clip.mp4", steady_ms(3), pix_fmt=pix_fmt)
    with av.open(str(path)) as container:
        expected = [
            frame.to_ndarray(width=size_px, height=size_px, format="rgb24", interpolation=EXACT)
            for frame in container.decode(video=0)
        ]
    frames_THWC, _ = read_frames(path, SamplingPolicy(fps=10.0), size_px, LIMITS)
    assert np.array_equal(frames_THWC, np.stack(expected))


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_frames_stand_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    path = write_clip(tmp_path / "turned.mp4", steady_ms(12), rotation=rotation)
    frames_THWC, _ = read_frames(path, SamplingPolicy(fps=10.0), None, LIMITS)
    assert frames_THWC.shape == ((12, 64, 48, 3) if turns % 2 else (12, 48, 64, 3))
    assert [number_of(np.rot90(frame_HWC, -turns)) for frame_HWC in frames_THWC] == list(range(12))


def test_the_same_file_gives_the_same_bytes(late_clip: Path) -> None:
    first, second = (read_frames(late_clip, SamplingPolicy(), 40, LIMITS)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_damaged_pictures_are_refused_where_they_are_sampled(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", steady_ms(60), container=FASTSTART)
    with pytest.raises(VideoError) as caught:
        read_frames(damaged(whole, tmp_path / "bad.mp4"), SamplingPolicy(fps=10.0), 32, LIMITS)
    assert caught.value.code == "undecodable"


def test_pictures_out_of_step_with_their_times_are_refused(tmp_path: Path) -> None:
    # AVI stores no presentation times: with B-frames they cannot be known.
    form = AVI | {"codec": "libx264", "options": {"preset": "medium", "bf": "3"}}
    path = write_clip(tmp_path / "clip.avi", steady_ms(40), **form)
    with pytest.raises(VideoError) as caught:
        read_frames(path, SamplingPolicy(), 32, LIMITS)
    assert caught.value.code == "bad_timestamps"


def test_more_pixels_than_the_budget_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "big.mp4", steady_ms(8), size=(320, 240))
    policy = SamplingPolicy(fps=10.0)
    assert len(read_frames(path, policy, None, DecodeLimits(max_output_mb=2))[0]) == 8
    with pytest.raises(VideoError) as caught:
        read_frames(path, policy, None, DecodeLimits(max_output_mb=1))
    assert caught.value.code == "too_large"


def test_of_an_interlaced_frame_one_field_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "fields.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        stream.options = {"crf": "10", "x264-params": "tff=1"}
        for number in range(20):
            both_HWC = np.full((64, 64, 3), 20 + 10 * number, np.uint8)
            both_HWC[1::2] = 235 - 10 * number  # the next instant, as different as can be
            frame = av.VideoFrame.from_ndarray(both_HWC, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    for size_px, height in ((None, 64), (32, 32)):
        frames_THWC, _ = read_frames(path, SamplingPolicy(fps=10.0), size_px, LIMITS)
        assert frames_THWC.shape[1] == height
        levels_T = frames_THWC[..., 0].mean(axis=(1, 2))
        assert levels_T == pytest.approx([20 + 10 * number for number in range(20)], abs=6)
        assert np.ptp(frames_THWC.astype(int), axis=1).max() < 20, "no line shows the other instant"


@pytest.mark.parametrize("kind", ["unreferenced frames", "open groups", "hevc", "transport stream"])
def test_threads_do_not_show(clips: Clips, kind: str) -> None:
    path, _ = clips(kind)
    one, four = (
        read_frames(path, SamplingPolicy(fps=3.0), 24, DecodeLimits(threads=threads)) for threads in (1, 4)
    )
    assert one[0].tobytes() == four[0].tobytes() and one[1] == four[1]


def test_groups_without_a_sampled_frame_are_not_read(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = clips("steady")  # ten groups of eight frames
    runs: list[tuple[int, int]] = []
    original = PacketReader.run

    def run(self: PacketReader, start: int, end: int) -> Iterator[av.Packet]:
        runs.append((start, end))
        return original(self, start, end)

    monkeypatch.setattr(PacketReader, "run", run)
    frames_THWC, _ = read_frames(path, SamplingPolicy(fps=0.25), 24, LIMITS)
    assert numbers_of(frames_THWC) == [0, 40]
    assert runs == [(0, 1), (40, 41)]
