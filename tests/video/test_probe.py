from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from d2vlm_pipeline.video import DecodeLimits, VideoError, probe_video
from video.clips import AVI, FASTSTART, steady_ms, truncate, write_clip


def refused(path: Path, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(VideoError) as caught:
        probe_video(path, limits)
    assert str(caught.value).startswith(path.name + ": ")
    return caught.value.code


def test_a_steady_clip(steady_clip: Path) -> None:
    probe = probe_video(steady_clip)
    assert (probe.width, probe.height, probe.frames, probe.codec) == (64, 48, 40, "h264")
    assert (probe.fps_src, probe.duration_s, probe.start_s, probe.rotation) == (10.0, 4.0, 0.0, 0)
    assert "mp4" in probe.container


def test_a_start_offset_is_recorded_and_not_counted(late_clip: Path) -> None:
    probe = probe_video(late_clip)
    assert probe.start_s == 1.5
    assert probe.frames == 20
    assert probe.fps_src == pytest.approx(19 / 2.74)
    # From the first frame to the end of the last: 2.74 s of gaps and the last frame's own time.
    assert 2.74 < probe.duration_s < 3.1


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mov", "avi"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    form = AVI if suffix == "avi" else {}
    probe = probe_video(write_clip(tmp_path / f"clip.{suffix}", steady_ms(30), **form))
    assert probe.frames == 30
    assert probe.fps_src == pytest.approx(10.0)
    assert probe.duration_s == pytest.approx(3.0, abs=0.01)


def test_rotation_swaps_the_displayed_size(tmp_path: Path) -> None:
    probe = probe_video(write_clip(tmp_path / "upright.mp4", steady_ms(5), rotation=90))
    assert (probe.width, probe.height, probe.rotation) == (48, 64, 90)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_is_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    form = AVI if suffix == "avi" else {}
    whole = write_clip(tmp_path / f"whole.{suffix}", steady_ms(200), **form)
    assert probe_video(whole).frames == 200
    assert refused(truncate(whole, share, tmp_path / f"cut.{suffix}")) == "truncated"


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_a_cut_mp4_with_its_index_first_is_truncated(tmp_path: Path, flags: str, share: float) -> None:
    whole = write_clip(tmp_path / "whole.mp4", steady_ms(60), container={"movflags": flags})
    assert probe_video(whole).frames == 60
    assert refused(truncate(whole, share, tmp_path / "cut.mp4")) == "truncated"


def test_a_recording_without_its_index_is_truncated(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", steady_ms(30))
    data = whole.read_bytes()
    unfinished = tmp_path / "unfinished.mp4"
    unfinished.write_bytes(data[: data.index(b"moov") - 4])  # ends where a box ends
    assert refused(unfinished) == "truncated"


def test_bytes_appended_after_the_last_box_do_no_harm(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "tail.mp4", steady_ms(30))
    path.write_bytes(path.read_bytes() + b"\xff" * 100)
    assert probe_video(path).frames == 30


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 500)
    assert refused(text) == "not_a_video"
    assert refused(tmp_path / "none.mp4") == "missing"
    (tmp_path / "empty.mp4").touch()
    assert refused(tmp_path / "empty.mp4") == "empty"


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile 'steady.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsteady.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_playlists_that_name_other_files_are_not_followed(steady_clip: Path, script: str) -> None:
    playlist = steady_clip.with_name("playlist.mp4")
    playlist.write_text(script)
    assert refused(playlist) == "not_a_video"


def test_sound_alone_is_no_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert refused(path) == "no_video_stream"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_pixels": 64 * 48 - 1}, "too_large"),
        ({"max_duration_s": 3.9}, "too_long"),
        ({"max_packets": 39}, "too_long"),
        ({"max_gigapixels": 64 * 48 * 39.5 / 1e9}, "too_large"),
    ],
)
def test_limits_refuse_what_exceeds_them_and_only_that(
    steady_clip: Path, limits: dict[str, float], code: str
) -> None:
    assert refused(steady_clip, DecodeLimits.model_validate(limits)) == code
    exact = {"max_pixels": 64 * 48, "max_duration_s": 4.0, "max_packets": 40, "max_streams": 1}
    exact["max_gigapixels"] = 64 * 48 * 40.5 / 1e9
    assert probe_video(steady_clip, DecodeLimits.model_validate(exact)).frames == 40


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    with path.open("wb") as stream:
        stream.truncate(5 << 20)
    assert refused(path, DecodeLimits(max_file_mb=4)) == "too_large"


def test_frames_at_one_instant_are_bad_timestamps(tmp_path: Path) -> None:
    # Two keyframes get the same presentation time by editing the durations an MP4 gives its frames.
    whole = write_clip(tmp_path / "a.mp4", steady_ms(4), gop=1, container=FASTSTART)
    data = bytearray(whole.read_bytes())
    entry = data.index(b"stts") + 8
    assert int.from_bytes(data[entry : entry + 4]) == 1, "one duration for all frames"
    data[entry + 8 : entry + 12] = (0).to_bytes(4)
    whole.write_bytes(data)
    assert refused(whole) == "bad_timestamps"


def test_more_tracks_than_allowed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tracks.mkv"
    with av.open(str(path), "w") as output:
        tracks = [
            output.add_stream("mjpeg", rate=10, width=64, height=48, pix_fmt="yuvj420p") for _ in range(3)
        ]
        for stream in tracks:
            output.mux(stream.encode(av.VideoFrame(64, 48, "yuvj420p")))
            output.mux(stream.encode())
    assert probe_video(path, DecodeLimits(max_streams=3)).frames == 1
    assert refused(path, DecodeLimits(max_streams=2)) == "too_large"
