"""Samples beside their footage: a row for every video and split."""

from annotations.samples import tvg
from d2vlm_pipeline.annotations import check_footage
from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.timeline import Sample
from d2vlm_pipeline.video import VideoRow

HASHES = tuple(digest_json(["one video", number]) for number in range(8))
OTHERS = tuple(digest_json(["another", number]) for number in range(8))


def sample(sample_id: str, video: str, split: str = "train", **changes: object) -> Sample:
    return Sample.model_validate(tvg(sample_id, video, split=split, **changes))


def row(video: str, fingerprint: tuple[str, ...] = (), **changes: object) -> VideoRow:
    facts = {"video": video, "path": video, "status": "ok", "digest": video, "duration_s": 9.0}
    return VideoRow.model_validate({**facts, "fingerprint": fingerprint, **changes})


def test_what_reaches_furthest_is_named() -> None:
    late = {"query_intervals": [[2.0, 8.5]], "question": "Is <evi> before it?"}
    found = check_footage(
        [sample("s1", "a.mp4"), sample("s2", "a.mp4", **late), sample("s3", "b.mp4")],
        [row("a.mp4"), row("b.mp4")],
    )
    rows = [(one.video, one.split, one.samples) for one in found]
    assert rows == [("a.mp4", "train", 2), ("b.mp4", "train", 1)]
    assert (found[0].first_s, found[0].latest_s, found[0].latest_sample) == (1.0, 8.5, "s2")
    assert (found[0].digest, found[0].duration_s) == ("a.mp4", 9.0)


def test_without_intervals_nothing_reaches_anywhere() -> None:
    (found,) = check_footage([sample("s1", "a.mp4", events=[], answer="It does not.")], [row("a.mp4")])
    assert (found.first_s, found.latest_s) == (None, None)


def test_a_video_without_an_accepted_file_has_no_facts() -> None:
    refused = VideoRow(video="a.mp4", path="a.mp4", status="quarantined", reason="empty")
    (found,) = check_footage([sample("s1", "a.mp4")], [refused])
    assert (found.digest, found.duration_s) == (None, None)


def test_a_video_in_two_splits_has_a_row_in_each() -> None:
    found = check_footage([sample("s1", "a.mp4"), sample("s2", "a.mp4", "val")], [row("a.mp4", HASHES)])
    assert [(one.split, one.twin) for one in found] == [("train", None), ("val", None)]


def test_footage_that_looks_the_same_is_named_on_both_sides() -> None:
    samples = [sample("s1", "a.mp4"), sample("s2", "b.mp4", "val"), sample("s3", "c.mp4", "val")]
    rows = [row("a.mp4", HASHES), row("b.mp4", HASHES), row("c.mp4", OTHERS)]
    found = {one.video: (one.twin, one.twin_split, one.twin_share) for one in check_footage(samples, rows)}
    assert found["a.mp4"] == ("b.mp4", "val", 1.0)
    assert found["b.mp4"] == ("a.mp4", "train", 1.0)
    assert found["c.mp4"] == (None, None, None)


def test_the_order_of_the_samples_does_not_show() -> None:
    samples = [sample("s1", "a.mp4"), sample("s2", "b.mp4", "val"), sample("s3", "a.mp4")]
    rows = [row("a.mp4", HASHES), row("b.mp4", OTHERS)]
    assert check_footage(samples, rows) == check_footage(samples[::-1], rows[::-1])
