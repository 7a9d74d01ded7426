"""What was computed once is found again: after an interruption, with more videos, under another encoder."""

import logging
import random
import shutil
import tempfile
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError, atomic_directory, marker_path
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, FeatureStream, LostClip, save_store
from d2vlm_pipeline.features.cache import for_this_run
from d2vlm_pipeline.timeline import TimeBase
from d2vlm_pipeline.video import VideoRow

SHAPE_NC = (4, 6)
FRAME_BYTES = 4 * 6 * 2
SHARD_BYTES = 12 * FRAME_BYTES


def row(name: str, frames: int = 5) -> VideoRow:
    return VideoRow(video=name, path=f"/nowhere/{name}", digest=name, frames=frames, status="ok")


def rows(count: int) -> list[VideoRow]:
    return [row(f"v{i:03d}", 1 + i % 5) for i in range(count)]


def features(row: VideoRow, encoder: str) -> ClipFeatures:
    rng = np.random.default_rng([*row.video.encode(), *encoder.encode()])
    frames = row.frames or 0
    times_s = tuple(float(i) for i in range(frames))
    timebase = TimeBase(times_s=times_s, duration_s=float(frames), fps_src=10.0, policy_digest="p")
    values = rng.normal(size=(frames, *SHAPE_NC)).astype(np.float16)
    return ClipFeatures(str(row.digest), "p", encoder, values, timebase)


@dataclass
class Place:
    """A folder with a store and its cache, and what was computed for it."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def save(
        self,
        table: Iterable[VideoRow],
        encoder: str = "e",
        stop_after: int | None = None,
        stop: type[BaseException] = KeyboardInterrupt,
    ) -> None:
        """As the catalog saves it; `stop_after` so many clips, what computes them is interrupted."""
        self.asked.clear()

        def compute(missing: Sequence[VideoRow]) -> Generator[ClipFeatures | LostClip, None, None]:
            for each in missing:
                if len(self.asked) == stop_after:
                    raise stop
                self.asked.append(each.video)
                yield features(each, encoder)

        with atomic_directory(self.store) as directory:
            stream = FeatureStream.of(table, "p", encoder, compute)
            save_store(stream, directory, self.cache, self.store, SHARD_BYTES)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.store.iterdir())}

    def shards(self) -> set[Path]:
        return set(self.cache.glob("*.npy"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def fresh(table: Iterable[VideoRow], encoder: str = "e") -> dict[str, bytes]:
    """Files of a store that was made in one go, elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        other = Place(Path(folder))
        other.save(table, encoder)
        return other.files()


@settings(max_examples=8, deadline=None)
@given(count=st.integers(0, 30), stops=st.lists(st.integers(0, 12), max_size=4), order=st.randoms())
def test_interrupted_again_and_again_it_computes_all_once_and_gives_the_same_bytes(
    count: int, stops: list[int], order: random.Random
) -> None:
    table = rows(count)
    with tempfile.TemporaryDirectory() as folder:
        place, asked = Place(Path(folder)), []
        for stop in stops:
            order.shuffle(table)
            try:
                place.save(table, stop_after=stop)
            except KeyboardInterrupt:
                assert not place.store.exists()
            asked += place.asked
        place.save(table)
        asked += place.asked
        assert sorted(asked) == sorted(each.video for each in table), "each clip once, whatever happened"
        assert place.files() == fresh(table)
        assert len(FeatureStore(place.store)) == count


@pytest.mark.parametrize("stop", [UserError, ValueError])
def test_an_error_costs_no_clip_that_was_computed(place: Place, stop: type[Exception]) -> None:
    with pytest.raises(stop):
        place.save(rows(20), stop_after=13, stop=stop)
    place.save(rows(20))
    assert len(place.asked) == 7
    assert place.files() == fresh(rows(20))


def test_with_more_videos_the_new_ones_alone_are_computed(place: Place) -> None:
    place.save(rows(30)[::2])
    place.save(rows(30))
    assert place.asked == [f"v{i:03d}" for i in range(1, 30, 2)]
    assert place.files() == fresh(rows(30))
    place.save(rows(30)[:7])
    assert place.asked == [] and place.files() == fresh(rows(30)[:7])


def test_another_encoder_computes_its_own_and_the_first_is_not_forgotten(place: Place) -> None:
    place.save(rows(9), "e")
    place.save(rows(9), "f")
    assert len(place.asked) == 9 and place.files() == fresh(rows(9), "f")
    place.save(rows(9), "e")
    assert place.asked == [] and place.files() == fresh(rows(9), "e")


def test_a_second_run_copies_nothing(place: Place) -> None:
    place.save(rows(20))
    assert len(place.shards()) == 6
    before = {path: path.stat().st_ino for path in place.cache.iterdir()}
    place.save(rows(20))
    assert {path: path.stat().st_ino for path in place.cache.iterdir()} == before
    for path in place.shards():
        assert (place.store / path.name).samefile(path), "store and cache take the space of one"


def test_a_shard_that_moves_is_renamed_not_written(place: Place) -> None:
    table = [row(f"v{i:03d}", 6) for i in range(6)]  # two clips a shard
    place.save(table)
    first = min(place.shards())
    place.save(table[2:])
    assert place.files() == fresh(table[2:])
    inodes = {path.stat().st_ino for path in place.shards()}
    assert first.stat().st_ino in inodes, "nobody has asked to forget its clips"
    assert len(inodes) == 3


def test_shards_whose_clips_lie_in_others_too_are_removed(place: Place) -> None:
    place.save(rows(30)[::2])
    first = place.shards()
    place.save(rows(30)[::3], "f")
    others = place.shards() - first
    place.save(rows(30))
    wanted = {place.cache / path.name for path in place.store.glob("*.npy")}
    assert place.shards() == wanted | others


@pytest.mark.parametrize("fault", ["bit", "cut", "no marker", "no journal", "journal changed", "no shard"])
def test_what_is_damaged_is_computed_again(
    place: Place, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    place.save(rows(20))
    good, path = place.files(), sorted(place.shards())[2]
    for name in place.store.iterdir():
        name.unlink()
    journal, data = path.with_suffix(".jsonl"), path.read_bytes()
    clips = len(journal.read_text().splitlines())
    match fault:
        case "bit":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "cut":
            path.write_bytes(data[:-48])
        case "no marker":
            marker_path(path).unlink()
        case "no journal":
            journal.unlink()
        case "journal changed":
            journal.write_text(journal.read_text().replace('"e"', '"f"'))
        case "no shard":
            path.unlink()
    with caplog.at_level(logging.WARNING):
        place.save(rows(20))
    assert len(place.asked) == clips
    assert place.files() == good
    if fault in ("bit", "cut", "journal changed"):
        assert path.stem in caplog.text and "computed again" in caplog.text


def test_a_store_that_came_without_its_cache_is_taken_over(place: Place) -> None:
    place.save(rows(20))
    good = place.files()
    shutil.rmtree(place.cache)
    place.save(rows(22))
    assert place.asked == ["v020", "v021"]
    place.save(rows(20))
    assert place.asked == [] and place.files() == good


def test_a_damaged_store_is_not_taken_over(place: Place) -> None:
    place.save(rows(20))
    good, path = place.files(), min(place.store.glob("*.npy"))
    data = path.read_bytes()
    shutil.rmtree(place.cache)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    place.save(rows(20))
    assert 0 < len(place.asked) < 20
    assert place.files() == good


def test_two_runs_do_not_share_a_cache_at_a_time(place: Place) -> None:
    with for_this_run(place.cache), pytest.raises(UserError, match=r"cache: another run is computing"):
        place.save(rows(3))
    place.save(rows(3))


def test_far_fewer_files_than_clips(place: Place) -> None:
    place.save(rows(90))
    assert len(list(place.store.iterdir())) < 90
    assert len(list(place.shards())) == len(list(place.store.glob("*.npy")))
