"""Changed clips: what stands where, and where an interval is found afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.evaluation.studies.changes import (
    ChangedClips,
    CutHead,
    Dropped,
    Masked,
    Noisy,
    PadHead,
    Reversed,
    SpeedUp,
    TimeChange,
    Unchanged,
)
from d2vlm_pipeline.timeline import Interval, SamplingPolicy, TimeBase


def clip(frames: int, step_s: float = 0.5) -> tuple[np.ndarray, TimeBase]:
    """Frame k has the value k + 1 everywhere."""
    values_TNC = np.repeat(np.arange(1, frames + 1, dtype=np.float16), 6).reshape(frames, 2, 3)
    times_s = tuple(k * step_s for k in range(frames))
    return values_TNC, TimeBase(times_s=times_s, duration_s=frames * step_s, fps_src=10.0, policy_digest="p")


def shown(changed: tuple[np.ndarray, TimeBase]) -> list[tuple[float, float]]:
    """(time, value) of every frame."""
    features_TNC, timebase = changed
    assert len(features_TNC) == len(timebase) and features_TNC.dtype == np.float16
    return list(zip(timebase.times_s, features_TNC[:, 0, 0].tolist(), strict=True))


def test_masked_frames_keep_their_places_and_the_source_its_features() -> None:
    features_TNC, timebase = clip(5)
    masked = Masked(((1, 2), (4, 4)))(features_TNC, timebase)
    assert shown(masked) == [(0, 1), (0.5, 0), (1.0, 0), (1.5, 4), (2.0, 0)]
    assert features_TNC.min() == 1 and masked[1] == timebase


def test_a_cut_clip_begins_at_the_first_frame_at_or_after_the_cut() -> None:
    assert shown(CutHead(1.0)(*clip(5))) == [(0, 3), (0.5, 4), (1.0, 5)]
    changed = CutHead(1.2)(*clip(5))
    assert shown(changed) == [(0, 4), (0.5, 5)] and changed[1].duration_s == 1.0


def test_a_padded_clip_begins_with_a_still_of_its_first_frame() -> None:
    changed = PadHead(1.0)(*clip(3))
    assert shown(changed) == [(0, 1), (0.5, 1), (1.0, 1), (1.5, 2), (2.0, 3)]
    assert changed[1].duration_s == 2.5


def test_a_faster_clip_has_every_second_frame_in_half_the_time() -> None:
    changed = SpeedUp(2)(*clip(5))
    assert shown(changed) == [(0, 1), (0.5, 3), (1.0, 5)]
    assert (changed[1].duration_s, changed[1].fps_src) == (1.25, 20.0)


def test_a_reversed_clip_shows_each_frame_as_long_as_before() -> None:
    features_TNC, _ = clip(3)
    uneven = TimeBase(times_s=(0.0, 0.5, 1.5), duration_s=2.25, fps_src=10.0, policy_digest="p")
    assert uneven.end_s == 2.25
    assert shown(Reversed()(features_TNC, uneven)) == [(0, 3), (0.75, 2), (1.75, 1)]


def test_sampling_a_faster_video_gives_the_frames_of_the_change() -> None:
    """At nine frames a second the grid of two a second falls between frames, and still it is exact."""
    source_s = [k / 9 for k in range(200)]
    policy = SamplingPolicy()
    chosen, timebase = TimeBase.of_video(source_s, 200 / 9, 9.0, policy)
    twice, expected = TimeBase.of_video([t / 2 for t in source_s], 100 / 9, 18.0, policy)
    features_TNC = np.array(chosen, dtype=np.float16).reshape(-1, 1, 1)
    found_TNC, found = SpeedUp(2)(features_TNC, timebase)
    assert found_TNC.ravel().tolist() == twice
    assert found.times_s == pytest.approx(expected.times_s) and found.duration_s == expected.duration_s


@pytest.mark.parametrize(
    ("change", "due"),
    [
        (CutHead(1.0), (0.5, 1.5)),
        (PadHead(2.0), (3.5, 4.5)),
        (SpeedUp(2), (0.75, 1.25)),
        (Reversed(), (2.5, 3.5)),
    ],
)
def test_where_an_interval_should_be_after_a_change(change: TimeChange, due: tuple[float, float]) -> None:
    moved = change.moved(Interval(start_s=1.5, end_s=2.5), clip(10)[1])
    assert moved == Interval(start_s=due[0], end_s=due[1])


def test_what_is_cut_off_is_nowhere() -> None:
    timebase = clip(10)[1]
    assert CutHead(1.0).moved(Interval(start_s=0.5, end_s=2.5), timebase) is None
    assert CutHead(9.0).moved(Interval(start_s=4.0, end_s=4.5), timebase) is None


@given(st.integers(4, 60), st.data())
def test_frames_of_an_interval_are_the_same_frames_after_a_change(frames: int, data: st.DataObject) -> None:
    features_TNC, timebase = clip(frames)
    first = data.draw(st.integers(0, frames - 1))
    last = data.draw(st.integers(first, frames - 1))
    for change in (CutHead(1.0), PadHead(1.5), Reversed()):
        moved = change.moved(timebase.interval_of(first, last), timebase)
        if moved is None:
            continue
        changed_TNC, changed = change(features_TNC, timebase)
        a, b = changed.frames_of(moved)
        assert sorted(changed_TNC[a : b + 1, 0, 0].tolist()) == list(range(first + 1, last + 2))


def test_a_greater_share_loses_the_same_frames_and_more_but_never_all() -> None:
    given_clip = clip(20)
    kept = [{value for _, value in shown(Dropped(share, 3)(*given_clip))} for share in (0.0, 0.25, 0.5, 1.0)]
    assert [len(values) for values in kept] == [20, 15, 10, 1]
    assert kept[0] > kept[1] > kept[2]
    assert all(time_s == (value - 1) / 2 for time_s, value in shown(Dropped(0.5, 3)(*given_clip)))
    assert Dropped(0.5, 3)(*given_clip)[1] != Dropped(0.5, 4)(*given_clip)[1]


def test_noise_is_on_a_share_of_the_frames_and_as_strong_as_told() -> None:
    rng = np.random.default_rng(0)
    clean_TNC = rng.normal(0.0, [1.0, 4.0], size=(400, 8, 2)).astype(np.float16)
    timebase = clip(400)[1]
    noisy_TNC, same = Noisy(0.5, 2.0, 7)(clean_TNC, timebase)
    added_TNC = noisy_TNC.astype(np.float32) - clean_TNC
    hit = np.abs(added_TNC).max(axis=(1, 2)) > 0
    assert hit.sum() == 200 and same == timebase and noisy_TNC.dtype == np.float16
    assert added_TNC[hit].std(axis=(0, 1)) == pytest.approx([2.0, 8.0], rel=0.1)
    more_TNC, _ = Noisy(0.75, 2.0, 7)(clean_TNC, timebase)
    assert np.array_equal(more_TNC[hit], noisy_TNC[hit])
    assert np.array_equal(noisy_TNC, Noisy(0.5, 2.0, 7)(clean_TNC, timebase)[0])


def test_clips_are_known_by_new_names() -> None:
    class Shelf:
        def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
            assert video == "a.mp4"
            return clip(4)

    clips = ChangedClips(Shelf(), {"plain": ("a.mp4", Unchanged()), "cut": ("a.mp4", CutHead(0.5))})
    assert len(clips.clip("plain")[1]) == 4 and len(clips.clip("cut")[1]) == 3
