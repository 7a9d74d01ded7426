"""Footage is recognised after what usually happens to copies, and not where only the scene is the same."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits
from d2vlm_pipeline.video.fingerprints import (
    FRAMES,
    HASH_SIDE,
    MAX_BITS,
    MIN_FRAMES,
    SIZE_PX,
    Fingerprinted,
    find_twins,
    hash_frames,
    spread_frames,
)
from d2vlm_pipeline.video.frames import read_frames
from d2vlm_pipeline.video.world import WorldConfig, plan_world
from d2vlm_pipeline.video.world.config import SplitSizes
from d2vlm_pipeline.video.world.render import render_clip

WORLD = WorldConfig(splits=SplitSizes(train=2, val=1, calib=1, test_iid=1), max_duration_s=17.0)


def hashes(path: Path) -> tuple[str, ...]:
    return hash_frames(spread_frames(read_frames(path, SamplingPolicy(), SIZE_PX, DecodeLimits())[0]))


def encoded_again(
    source: Path, target: Path, *, scale: float = 1.0, crf: int = 23, skip_s: float = 0.0
) -> Path:
    with av.open(str(source)) as given, av.open(str(target), "w") as output:
        old = given.streams.video[0]
        assert old.average_rate is not None
        new = output.add_stream("libx264", rate=old.average_rate)
        new.width, new.height = (int(side * scale) // 2 * 2 for side in (old.width, old.height))
        new.pix_fmt, new.options = "yuv420p", {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        kept = (frame for frame in given.decode(old) if frame.time >= skip_s)
        for number, frame in enumerate(kept):
            resized = frame.reformat(width=new.width, height=new.height)
            resized.pts, resized.time_base = number, Fraction(1) / old.average_rate
            output.mux(new.encode(resized))
        output.mux(new.encode())
    return target


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips of the demo world."""
    folder = tmp_path_factory.mktemp("clips")
    plans = plan_world(WORLD)
    paths = [folder / plan.video for plan in plans]
    for plan, path in zip(plans, paths, strict=True):
        path.write_bytes(render_clip(plan))
    return paths


COPIES = {
    "encoded again": {"crf": 36},
    "half the size": {"scale": 0.5},
    "twice the size": {"scale": 2.0},
    "half a second cut off": {"skip_s": 0.5},
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_recognised(clips: list[Path], tmp_path: Path, change: str) -> None:
    copy = encoded_again(clips[0], tmp_path / "copy.mp4", **COPIES[change])  # type: ignore[arg-type]
    others = [Fingerprinted(path.name, "train", hashes(path)) for path in clips]
    twins = find_twins([*others, Fingerprinted("copy.mp4", "test", hashes(copy))])
    assert twins["copy.mp4", "test"].video == clips[0].name
    assert set(twins) == {("copy.mp4", "test"), (clips[0].name, "train")}


def test_different_clips_are_not_twins(clips: list[Path]) -> None:
    assert find_twins(Fingerprinted(path.name, path.name, hashes(path)) for path in clips) == {}


def random_hashes(seed: int, count: int = FRAMES) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int.from_bytes(rng.bytes(HASH_SIDE**2 // 8)) for _ in range(count)]


def entry(video: str, group: str, words: list[int]) -> Fingerprinted:
    return Fingerprinted(video, group, tuple(f"{word:064x}" for word in words))


def flipped(word: int, bits: int) -> int:
    for bit in range(bits):
        word ^= 1 << (7 * bit)
    return word


def test_frames_agree_up_to_the_limit_of_bits() -> None:
    words = random_hashes(1)
    for bits, expected in ((MAX_BITS, 2), (MAX_BITS + 1, 0)):
        copy = [flipped(word, bits) for word in words]
        assert len(find_twins([entry("a", "train", words), entry("b", "test", copy)])) == expected


def test_several_frames_have_to_agree() -> None:
    words = random_hashes(1)
    few = MIN_FRAMES - 1
    lonely = words[:few] + random_hashes(2, FRAMES - few)
    assert find_twins([entry("a", "train", words), entry("b", "test", lonely)]) == {}
    assert find_twins([entry("a", "train", words[:few]), entry("b", "test", words[:few])]) == {}


def test_a_piece_of_a_long_video_is_its_twin() -> None:
    words = random_hashes(1)
    piece = words[:MIN_FRAMES]
    twins = find_twins([entry("long", "train", words), entry("piece", "test", piece)])
    assert twins["piece", "test"].video == "long" and twins["long", "train"].share == 1.0


def test_within_a_split_and_of_itself_nothing_is_a_twin() -> None:
    words = random_hashes(1)
    assert find_twins([entry("a", "train", words), entry("b", "train", words)]) == {}
    assert find_twins([entry("a", "train", words), entry("a", "test", words)]) == {}


def test_the_nearest_is_named() -> None:
    words = random_hashes(1)
    near = words[:6] + random_hashes(2, 2)
    twins = find_twins([entry("near", "train", near), entry("same", "val", words), entry("x", "test", words)])
    assert twins["x", "test"].video == "same" and twins["near", "train"].share == 0.75


def test_flat_pictures_have_no_hash() -> None:
    assert hash_frames(np.zeros((5, SIZE_PX, SIZE_PX, 3), np.uint8)) == ()
    grain = np.random.default_rng(0).integers(100, 104, (5, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    assert hash_frames(grain) == ()


def test_a_long_video_has_no_more_hashes_than_a_short_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    assert len(hash_frames(spread_frames(frames))) == FRAMES
    assert np.array_equal(spread_frames(frames)[[0, -1]], frames[[0, -1]])
    assert len(hash_frames(spread_frames(frames[:2]))) == 2


def test_nothing_has_no_twins() -> None:
    assert find_twins([]) == {}
