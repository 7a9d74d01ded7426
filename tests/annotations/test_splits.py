from annotations.samples import tvg
from d2vlm_pipeline.annotations import check_splits
from d2vlm_pipeline.timeline import Sample


def samples(*rows: tuple[str, str, str]) -> list[Sample]:
    return [Sample.model_validate(tvg(name, video=video, split=split)) for name, video, split in rows]


def test_one_split_a_video_passes_unchanged() -> None:
    clean = samples(("1", "a.mp4", "train"), ("2", "b.mp4", "val"), ("3", "a.mp4", "train"))
    assert check_splits(clean) == (clean, [])


def test_the_first_split_keeps_the_video() -> None:
    rows = samples(("1", "a.mp4", "train"), ("2", "a.mp4", "test-iid"), ("3", "a.mp4", "train"))
    kept, rejections = check_splits(rows, file="annotations.jsonl")
    assert [sample.id for sample in kept] == ["1", "3"]
    (leak,) = rejections
    assert (leak.code, leak.sample_id, leak.video) == ("split_leak", "2", "a.mp4")
    assert str(leak) == (
        "annotations.jsonl: sample 2: a.mp4 is in split 'train' and in 'test-iid'; "
        "keep all samples of a video in one split"
    )


def test_a_copy_under_another_name_is_the_same_video() -> None:
    rows = samples(("1", "a.mp4", "train"), ("2", "copy.mp4", "test-iid"), ("3", "b.mp4", "test-iid"))
    assert check_splits(rows)[1] == []
    kept, rejections = check_splits(rows, digests={"a.mp4": "d1", "copy.mp4": "d1", "b.mp4": "d2"})
    assert [sample.id for sample in kept] == ["1", "3"]
    assert "same content as a.mp4" in rejections[0].reason
