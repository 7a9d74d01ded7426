"""Features of videos: the same bytes for any number of workers, found by what they were made of."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import (
    ClipFeatures,
    DecodedClips,
    EfficientNetConfig,
    FeatureStream,
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


def extracted(rows: list[VideoRow], workers: int) -> list[ClipFeatures]:
    return list(extract_features(rows, POLICY, ENCODER, LIMITS, workers))


def made_up(rows: list[VideoRow]) -> Iterator[ClipFeatures]:
    """Features as extraction would order them, without a network."""
    encoder_digest = build_encoder(ENCODER).digest
    for row in sorted((row for row in rows if row.status == "ok"), key=lambda row: str(row.digest)):
        times_s = tuple(POLICY.sample_times(row.duration_s or 0.0))
        timebase = TimeBase(
            times_s=times_s, duration_s=row.duration_s, fps_src=10.0, policy_digest=POLICY.digest
        )
        features_TNC = np.full((len(times_s), 4, 471), row.duration_s, np.float16)
        yield ClipFeatures(str(row.digest), POLICY.digest, encoder_digest, features_TNC, timebase)


@pytest.fixture(scope="module")
def stored(rows: list[VideoRow], tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    directory = tmp_path_factory.mktemp("store")
    save_store(FeatureStream(made_up(rows)), directory)
    return StoredClips.of(load_store(directory), rows, POLICY, build_encoder(ENCODER).digest)


@pytest.mark.slow
@pytest.mark.ci_sample
def test_one_worker_and_two_give_the_same_bytes_which_are_the_encoder_s(
    rows: list[VideoRow], tmp_path: Path
) -> None:
    alone, together = extracted(rows, workers=1), extracted(rows[::-1], workers=2)
    assert [clip.sort_key for clip in alone] == [clip.sort_key for clip in together]
    for one, other in zip(alone, together, strict=True):
        assert one.features_TNC.tobytes() == other.features_TNC.tobytes()
        assert one.timebase == other.timebase
    by_digest = {clip.video_digest: clip for clip in alone}
    assert set(by_digest) == {row.digest for row in rows if row.status == "ok"}
    for row in rows:
        if row.status == "ok":
            frames_THWC, timebase = decode_frames(row.path, POLICY, ENCODER.input_px, LIMITS)
            expected_TNC = build_encoder(ENCODER).encode(frames_THWC).astype(np.float32)
            found = by_digest[str(row.digest)]
            assert found.timebase == timebase
            np.testing.assert_allclose(
                found.features_TNC.astype(np.float32), expected_TNC, rtol=3e-3, atol=3e-3
            )
    save_store(FeatureStream(alone), tmp_path / "a")
    save_store(FeatureStream(together), tmp_path / "b")
    assert load_store(tmp_path / "a").index.digest == load_store(tmp_path / "b").index.digest


def test_a_video_that_is_gone_ends_the_run_with_what_to_do(rows: list[VideoRow], tmp_path: Path) -> None:
    lost = [row.model_copy(update={"path": str(tmp_path / row.video)}) for row in rows if row.status == "ok"]
    with pytest.raises(UserError, match=r"clip1\.mp4.*kedro run --pipelines ingestion"):
        extracted(lost[:1], workers=1)


def test_quarantined_videos_alone_give_nothing(rows: list[VideoRow]) -> None:
    assert extracted([row for row in rows if row.status != "ok"], workers=1) == []


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
    save_store(FeatureStream(list(made_up(rows))[:1]), tmp_path)
    clips = StoredClips.of(load_store(tmp_path), rows, POLICY, build_encoder(ENCODER).digest)
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
