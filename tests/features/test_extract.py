"""Features of videos: the same bytes for any number of workers, found by what they were made of."""

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import (
    ClipFeatures,
    DecodedClips,
    EfficientNetConfig,
    FeatureStream,
    LostClip,
    StoredClips,
    build_encoder,
    extract_features,
    load_store,
    save_store,
)
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video import DecodeLimits, VideoError, VideoRow, build_video_table
from d2vlm_pipeline.video.decode import decode_frames
from video.clips import steady_ms, write_clip

POLICY, LIMITS = SamplingPolicy(fps=2.0), DecodeLimits()
ENCODER = EfficientNetConfig(input_px=64, grid=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of 1, 2 and 3 s, a copy of the first, and a file that is no video."""
    root = tmp_path_factory.mktemp("footage")
    for seconds in (1, 2, 3):
        write_clip(root / f"clip{seconds}.mp4", steady_ms(10 * seconds))
    (root / "copy.mp4").write_bytes((root / "clip1.mp4").read_bytes())
    (root / "notes.mp4").write_text("not a video")
    return root


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[VideoRow]:
    names = sorted(path.name for path in folder.iterdir())
    return list(build_video_table(folder, names, LIMITS, POLICY, workers=1))


def stream(rows: Sequence[VideoRow], workers: int = 1) -> FeatureStream:
    find = partial(extract_features, policy=POLICY, config=ENCODER, limits=LIMITS, workers=workers)
    return FeatureStream.of(rows, POLICY.digest, build_encoder(ENCODER).digest, find)


def extracted(rows: Sequence[VideoRow], workers: int = 1) -> list[ClipFeatures | LostClip]:
    return list(extract_features(stream(rows).rows, POLICY, ENCODER, LIMITS, workers))


def made_up(rows: Sequence[VideoRow]) -> Generator[ClipFeatures | LostClip, None, None]:
    """Features without a network."""
    encoder_digest = build_encoder(ENCODER).digest
    for row in rows:
        times_s = tuple(POLICY.sample_times(row.duration_s or 0.0))
        timebase = TimeBase(
            times_s=times_s, duration_s=row.duration_s, fps_src=10.0, policy_digest=POLICY.digest
        )
        features_TNC = np.full((len(times_s), 4, 471), row.duration_s, np.float16)
        yield ClipFeatures(str(row.digest), POLICY.digest, encoder_digest, features_TNC, timebase)


def save(stream: FeatureStream, folder: Path) -> Path:
    """As the catalog does it, into the store of a folder."""
    directory = folder / "store"
    directory.mkdir(parents=True)
    save_store(stream, directory, folder / "cache", folder / "published")
    return directory


@pytest.fixture(scope="module")
def stored(rows: list[VideoRow], tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    wanted = FeatureStream.of(rows, POLICY.digest, build_encoder(ENCODER).digest, made_up)
    directory = save(wanted, tmp_path_factory.mktemp("stored"))
    return StoredClips.of(load_store(directory), rows, POLICY, build_encoder(ENCODER).digest)


@pytest.mark.slow
@pytest.mark.ci_sample
def test_one_worker_and_two_give_the_same_bytes_which_are_the_encoder_s(
    rows: list[VideoRow], tmp_path: Path
) -> None:
    alone, together = save(stream(rows, 1), tmp_path / "a"), save(stream(rows[::-1], 2), tmp_path / "b")
    assert files(alone) == files(together)
    store = load_store(alone)
    for row in rows:
        if row.status == "ok":
            frames_THWC, timebase = decode_frames(row.path, POLICY, ENCODER.input_px, LIMITS)
            expected_TNC = build_encoder(ENCODER).encode(frames_THWC).astype(np.float32)
            key = (str(row.digest), POLICY.digest, build_encoder(ENCODER).digest)
            features_TNC, found = store.get(*key)
            assert found == timebase
            np.testing.assert_allclose(features_TNC.astype(np.float32), expected_TNC, rtol=3e-3, atol=3e-3)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_equal_videos_are_decoded_once_and_quarantined_ones_not_at_all(rows: list[VideoRow]) -> None:
    wanted = stream(rows)
    assert [row.video for row in wanted.rows if row.digest == rows[0].digest] == ["clip1.mp4"]
    assert len(wanted.rows) == 3 and wanted.left_out == 1
    assert list(wanted.rows) == sorted(wanted.rows, key=lambda row: str(row.digest))
    assert stream(rows[::-1]).rows == wanted.rows


@pytest.mark.slow
def test_a_video_that_is_gone_or_changed_costs_itself_alone(
    rows: list[VideoRow], folder: Path, tmp_path: Path
) -> None:
    accepted = stream(rows).rows
    for row in accepted:
        (tmp_path / row.video).write_bytes((folder / row.video).read_bytes())
    here = [row.model_copy(update={"path": str(tmp_path / row.video)}) for row in accepted]
    Path(here[0].path).unlink()
    Path(here[1].path).write_bytes((folder / accepted[2].video).read_bytes())
    gone, changed, good = extracted(here, workers=2)
    assert isinstance(gone, LostClip) and "no such file" in gone.reason
    assert isinstance(changed, LostClip) and changed.reason == f"{here[1].path}: changed since it was probed"
    assert isinstance(good, ClipFeatures) and good.video_digest == accepted[2].digest


def test_lost_videos_end_the_run_with_what_to_do_and_the_others_are_kept(
    rows: list[VideoRow], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = stream(rows).rows[1]
    asked: list[str] = []

    def compute(missing: Sequence[VideoRow]) -> Iterator[ClipFeatures | LostClip]:
        for row, clip in zip(missing, made_up(missing), strict=True):
            asked.append(row.video)
            yield LostClip(row, f"{row.path}: no such file") if row == lost else clip

    wanted = FeatureStream.of(rows, POLICY.digest, build_encoder(ENCODER).digest, compute)
    with pytest.raises(UserError, match=rf"{lost.video}: no such file \(1 video .*--pipelines ingestion"):
        save(wanted, tmp_path)
    assert not list((tmp_path / "store").iterdir()), "a store with a hole is no store"
    assert len(asked) == 3
    asked.clear()
    (tmp_path / "store").rmdir()
    with caplog.at_level(logging.INFO), pytest.raises(UserError, match=lost.video):
        save(wanted, tmp_path)
    assert asked == [lost.video]
    assert f"lost: {lost.path}: no such file" in caplog.text
    assert "features of 3 videos: 2 are there, 1 to be computed; 1 left out, in quarantine" in caplog.text


def test_nothing_to_compute_starts_nothing() -> None:
    assert extracted([]) == []


def test_a_stored_clip_is_found_by_the_name_that_samples_use(stored: StoredClips) -> None:
    for seconds in (1, 2, 3):
        features_TNC, timebase = stored.clip(f"clip{seconds}.mp4")
        assert features_TNC.shape == (2 * seconds, 4, 471) and (features_TNC == seconds).all()
        assert len(timebase) == 2 * seconds
    # Equal videos are stored once and found under both names.
    assert len(stored.store) == 3
    assert np.array_equal(stored.clip("copy.mp4")[0], stored.clip("clip1.mp4")[0])


@pytest.mark.parametrize("name", ["notes.mp4", "nowhere.mp4"])
def test_a_video_that_was_not_accepted_has_no_features(name: str, stored: StoredClips) -> None:
    with pytest.raises(UserError, match=rf"{name} is not an accepted video.*quarantine report"):
        stored.clip(name)


def test_features_of_another_sampling_or_encoder_are_not_taken(
    rows: list[VideoRow], stored: StoredClips
) -> None:
    finer = StoredClips.of(stored.store, rows, SamplingPolicy(fps=4.0), stored.encoder_digest)
    other = StoredClips.of(stored.store, rows, POLICY, build_encoder(EfficientNetConfig(input_px=64)).digest)
    for clips, what in ((finer, "sampling policy"), (other, "encoder")):
        with pytest.raises(UserError, match=f"another {what}.*kedro run --pipelines features"):
            clips.clip("clip1.mp4")


def test_a_video_never_extracted_says_what_to_run(rows: list[VideoRow], tmp_path: Path) -> None:
    few = FeatureStream.of(rows[:1], POLICY.digest, build_encoder(ENCODER).digest, made_up)
    clips = StoredClips.of(load_store(save(few, tmp_path)), rows, POLICY, build_encoder(ENCODER).digest)
    with pytest.raises(UserError, match=r"no features of video.*kedro run --pipelines features"):
        for name in ("clip1.mp4", "clip2.mp4", "clip3.mp4"):
            clips.clip(name)


def test_a_clip_decoded_on_the_spot_is_kept_until_others_come(folder: Path) -> None:
    clips = DecodedClips(POLICY, ENCODER, LIMITS, keep=1)
    first = str(folder / "clip1.mp4")
    features_TNC, timebase = clips.clip(first)
    assert features_TNC.shape == (2, 4, 471) and len(timebase) == 2
    assert clips.clip(first)[0] is features_TNC
    clips.clip(str(folder / "clip2.mp4"))
    again_TNC, _ = clips.clip(first)
    assert again_TNC is not features_TNC and np.array_equal(again_TNC, features_TNC)


def test_a_file_that_is_no_video_is_refused_on_the_spot(folder: Path) -> None:
    with pytest.raises(VideoError, match=r"notes\.mp4"):
        DecodedClips(POLICY, ENCODER, LIMITS).clip(str(folder / "notes.mp4"))
