import json
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError, atomic_directory, write_bytes_atomic
from d2vlm_pipeline.features import store as store_module
from d2vlm_pipeline.features.store import ClipFeatures, FeatureStore, write_store
from d2vlm_pipeline.timeline import TimeBase

SHAPE_NC = (4, 6)
FRAME_BYTES = 4 * 6 * 2


def clip(
    video: str, frames: int = 5, policy: str = "p", encoder: str = "e", shape: tuple[int, int] = SHAPE_NC
) -> ClipFeatures:
    rng = np.random.default_rng([*video.encode(), *encoder.encode(), frames])
    times_s = tuple(i / 2 for i in range(frames))
    timebase = TimeBase(times_s=times_s, duration_s=frames / 2, fps_src=10.0, policy_digest=policy)
    return ClipFeatures(
        video, policy, encoder, rng.normal(size=(frames, *shape)).astype(np.float16), timebase
    )


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def assert_holds(store: FeatureStore, clips: list[ClipFeatures]) -> None:
    assert len(store) == len(clips)
    for expected in clips:
        features_TNC, timebase = store.get(
            expected.video_digest, expected.policy_digest, expected.encoder_digest
        )
        assert features_TNC.dtype == np.float16
        assert np.array_equal(features_TNC, expected.features_TNC)
        assert timebase == expected.timebase


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 12), max_size=12), shard_frames=st.integers(1, 20))
def test_what_was_written_is_read(tmp_path: Path, lengths: list[int], shard_frames: int) -> None:
    clips = [clip(f"v{i:02d}", frames) for i, frames in enumerate(lengths)]
    index = write_store(tmp_path / "store", clips, shard_bytes=shard_frames * FRAME_BYTES)
    store = FeatureStore(tmp_path / "store")
    assert_holds(store, clips)
    assert store.index == index
    assert sum(index.shards.values()) == sum(lengths)
    # Full shards, but none above the limit unless one clip alone is.
    frames_of = {name: [e.frames for e in index.entries if e.shard == name] for name in index.shards}
    assert all(sum(counts) <= shard_frames or len(counts) == 1 for counts in frames_of.values())
    names = sorted(frames_of)
    for name, following in pairwise(names):
        assert sum(frames_of[name]) + frames_of[following][0] > shard_frames
    assert {path.name for path in (tmp_path / "store").glob("*.npy")} == set(index.shards)


def test_far_fewer_files_than_clips(tmp_path: Path) -> None:
    write_store(tmp_path, (clip(f"v{i:03d}") for i in range(200)), shard_bytes=100 * 5 * FRAME_BYTES)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_shard_holds_a_thousand_clips_at_most(tmp_path: Path) -> None:
    index = write_store(tmp_path, (clip(f"v{i:04d}", frames=1) for i in range(1001)))
    assert list(index.shards.values()) == [1000, 1]


def test_bytes_depend_on_the_clips_alone(tmp_path: Path) -> None:
    clips = [clip(f"v{i}") for i in range(6)]
    first = write_store(tmp_path / "a", clips, shard_bytes=11 * FRAME_BYTES)
    second = write_store(tmp_path / "b", sorted(reversed(clips), key=lambda c: c.sort_key), 11 * FRAME_BYTES)
    assert first.digest == second.digest
    assert files(tmp_path / "a") == files(tmp_path / "b")
    other = write_store(tmp_path / "c", [*clips[:-1], clip("v5", frames=6)], 11 * FRAME_BYTES)
    assert other.digest != first.digest


def test_clips_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out of order"):
        write_store(tmp_path / "s", [clip("v2"), clip("v1")])


def test_the_same_video_twice_is_stored_once_and_a_contradiction_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [clip("v1"), clip("v1")])
    assert_holds(FeatureStore(tmp_path / "s"), [clip("v1")])
    with pytest.raises(ValueError, match="two different features"):
        write_store(tmp_path / "t", [clip("v1", 5), clip("v1", 6)])


def test_several_encoders_and_policies_share_a_store(tmp_path: Path) -> None:
    clips = [clip(v, policy=p, encoder=e) for v in ("v1", "v2") for p in ("p1", "p2") for e in ("e1", "e2")]
    clips += [clip(v, encoder="wide", shape=(9, 3)) for v in ("v1", "v2")]
    clips.sort(key=lambda c: c.sort_key)
    index = write_store(tmp_path, clips)
    assert_holds(FeatureStore(tmp_path), clips)
    assert len(index.shards) == 2  # one per row shape


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [])
    assert len(FeatureStore(tmp_path / "s")) == 0


def test_missing_features_name_the_pipeline_and_the_cause(tmp_path: Path) -> None:
    write_store(tmp_path, [clip("v1", policy="p", encoder="e")])
    store = FeatureStore(tmp_path)
    assert ("v1", "p", "e") in store and ("v1", "p", "other") not in store
    for key, cause in {
        ("v9", "p", "e"): "no features of video v9",
        ("v1", "q", "e"): "another sampling policy than q",
        ("v1", "p", "f"): "another encoder than f",
    }.items():
        with pytest.raises(UserError, match=cause) as caught:
            store.get(*key)
        assert "kedro run --pipelines features" in str(caught.value)


def test_opening_nothing_names_the_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kedro run --pipelines features"):
        FeatureStore(tmp_path / "none")


def test_views_are_read_only_and_not_copies(tmp_path: Path) -> None:
    write_store(tmp_path, [clip("v1")])
    store = FeatureStore(tmp_path)
    features_TNC, _ = store.get("v1", "p", "e")
    assert np.shares_memory(features_TNC, store.get("v1", "p", "e")[0])
    with pytest.raises(ValueError, match="read-only"):
        features_TNC[0] = 0


def test_a_flipped_bit_is_found_at_the_first_read_of_that_clip(tmp_path: Path) -> None:
    index = write_store(tmp_path, [clip("v1"), clip("v2")])
    path = tmp_path / index.entries[0].shard
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the last clip's last byte
    path.write_bytes(data)
    store = FeatureStore(tmp_path)
    store.get("v1", "p", "e")
    with pytest.raises(UserError, match="do not match their digest"):
        store.get("v2", "p", "e")
    with pytest.raises(UserError, match="video v2"):
        store.verify()


@pytest.mark.parametrize("fault", ["gone", "cut", "shorter", "other type", "no marker", "no array"])
def test_shards_that_do_not_fit_the_index_are_found_on_opening(tmp_path: Path, fault: str) -> None:
    index = write_store(tmp_path, [clip("v1"), clip("v2")])
    path = tmp_path / index.entries[0].shard
    match fault:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-40])
        case "shorter":
            np.save(path, np.load(path)[:-1])
        case "other type":
            np.save(path, np.load(path).astype(np.float32))
        case "no marker":
            path.with_name(f".{path.name}.sha256").unlink()
        case "no array":
            path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        FeatureStore(tmp_path)
    assert path.name in str(caught.value) and "kedro run --pipelines features" in str(caught.value)


def test_an_edited_index_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path, [clip("v1")])
    path = tmp_path / "index.jsonl"
    path.write_text(path.read_text().replace('"v1"', '"v2"'))
    with pytest.raises(UserError, match=r"index\.jsonl"):
        FeatureStore(tmp_path)


def test_an_index_may_not_point_outside_the_store(tmp_path: Path) -> None:
    write_store(tmp_path, [clip("v1")])
    path = tmp_path / "index.jsonl"
    entry = json.loads(path.read_text())
    entry["shard"] = "../elsewhere.npy"
    write_bytes_atomic(path, json.dumps(entry).encode())
    with pytest.raises(UserError, match="shard"):
        FeatureStore(tmp_path)


def test_an_interrupted_write_leaves_the_old_store(tmp_path: Path) -> None:
    old = [clip("v1"), clip("v2")]
    write_store(tmp_path, old, shard_bytes=5 * FRAME_BYTES)

    def interrupted() -> Iterator[ClipFeatures]:
        yield from (clip("w1"), clip("w2"), clip("w3"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path, interrupted(), shard_bytes=5 * FRAME_BYTES)
    assert_holds(FeatureStore(tmp_path), old)


def test_a_store_can_be_rewritten_from_itself(tmp_path: Path) -> None:
    old = [clip(f"v{i}") for i in range(4)]
    write_store(tmp_path, old, shard_bytes=10 * FRAME_BYTES)
    store = FeatureStore(tmp_path)
    new = [*old[:2], clip("v22"), *old[3:]]

    def stream() -> Iterator[ClipFeatures]:
        for wanted in sorted(new, key=lambda c: c.sort_key):
            key = (wanted.video_digest, wanted.policy_digest, wanted.encoder_digest)
            yield ClipFeatures(*key, *store.get(*key)) if key in store else wanted

    index = write_store(tmp_path, stream(), shard_bytes=10 * FRAME_BYTES)
    assert_holds(FeatureStore(tmp_path), sorted(new, key=lambda c: c.sort_key))
    assert {path.name for path in tmp_path.glob("*.npy")} == set(index.shards), "old shards are gone"


def test_a_store_fits_into_an_atomic_directory(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "features") as directory:
        write_store(directory, [clip("v1")])
    assert_holds(FeatureStore(tmp_path / "features"), [clip("v1")])


def test_pickling_carries_the_place_not_the_content(tmp_path: Path) -> None:
    write_store(tmp_path, [clip("v1", frames=500)])
    data = pickle.dumps(FeatureStore(tmp_path))
    assert len(data) < 1000
    assert_holds(pickle.loads(data), [clip("v1", frames=500)])


def test_each_clip_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(tmp_path, [clip("v1"), clip("v2")])
    calls: list[int] = []
    original = store_module.features_sha256
    monkeypatch.setattr(store_module, "features_sha256", lambda array: calls.append(1) or original(array))
    store = FeatureStore(tmp_path)
    for _ in range(5):
        store.get("v1", "p", "e")
    assert len(calls) == 1


@pytest.mark.parametrize("fault", ["dtype", "rank", "length", "policy", "infinite"])
def test_features_that_break_the_contract_are_refused(fault: str) -> None:
    good = clip("v1")
    features_TNC, timebase, policy = good.features_TNC, good.timebase, "p"
    match fault:
        case "dtype":
            features_TNC = features_TNC.astype(np.float32)
        case "rank":
            features_TNC = features_TNC[:, 0]
        case "length":
            features_TNC = features_TNC[1:]
        case "policy":
            policy = "q"
        case "infinite":
            features_TNC = features_TNC.copy()
            features_TNC[2, 1, 0] = np.inf
    with pytest.raises(ValueError, match=r"features|TimeBase"):
        ClipFeatures("v1", policy, "e", features_TNC, timebase)
