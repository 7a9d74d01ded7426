"""ActivityNet Captions, YouCook2 in both its forms."""

from pathlib import Path
from typing import Any

import pytest

from annotations.reading import only_rejection, only_sample, read_all, write_json, write_text
from d2vlm_pipeline.artifacts import UserError

VIDEO = {"duration": 31.0, "timestamps": [[0, 3.5], [3, 9]], "sentences": ["He runs.", " He stops."]}
ACTIVITYNET = {"a": VIDEO}
COCO = {"image_id": "a.mp4", "id": 4, "segments": [[1, 2], [4, 8]], "pure_cap": "cut it. fry it"}


def test_activitynet_is_one_dense_caption_a_video(tmp_path: Path) -> None:
    sample = only_sample(write_json(tmp_path / "val.json", ACTIVITYNET), "activitynet")
    assert (sample.task, sample.video, sample.answer) == ("dvc", "a.mp4", "<evi>, He runs. <evi>, He stops.")
    spans = [(event.start_s, event.end_s, event.caption) for event in sample.events]
    assert spans == [(0, 3.5, "He runs"), (3, 9, "He stops")]


def test_or_one_query_a_sentence(tmp_path: Path) -> None:
    samples, _ = read_all(write_json(tmp_path / "val.json", ACTIVITYNET), "activitynet", task="tvg")
    assert [sample.id for sample in samples] == ["val-1", "val-2"]
    assert samples[1].question == "When does this event happen: He stops?"


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"sentences": ["one"]}, "bad_count", "2 intervals for 1 sentences"),
        ({"timestamps": [], "sentences": []}, "missing_field", "no events"),
        ({"sentences": ["one", " "]}, "missing_field", "sentence 2 is empty"),
        ({"timestamps": [[0, 3.5], [9, 3]]}, "bad_interval", "event 2 ends at 3 s"),
        ({"timestamps": [[0, 3.5], [3, None]]}, "invalid_record", "timestamps.1.1"),
        ({"duration": "long"}, "invalid_record", "duration"),
        ({"duration": float("nan")}, "not_finite", "duration"),
        ({"timestamps": [[0, 3.5], [3, float("inf")]]}, "not_finite", "timestamps.1.1"),
    ],
)
def test_a_bad_video_is_told_by_its_number(
    tmp_path: Path, changes: dict[str, Any], code: str, said: str
) -> None:
    path = write_json(tmp_path / "val.json", {**ACTIVITYNET, "b": {**VIDEO, **changes}})
    samples, rejections = read_all(path, "activitynet")
    assert len(samples) == 1
    (rejection,) = rejections
    assert (rejection.line, rejection.video, rejection.code) == (2, "b", code) and said in rejection.reason


def test_a_video_written_twice_is_not_lost_in_silence(tmp_path: Path) -> None:
    entry = '"a": {"duration": 9, "timestamps": [[0, 1]], "sentences": ["x"]}'
    samples, rejections = read_all(write_text(tmp_path / "val.json", f"{{{entry}, {entry}}}"), "activitynet")
    assert len(samples) == 1
    assert [(r.line, r.code) for r in rejections] == [(2, "duplicate_id")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "expected a JSON object"),
        ('{"a": \n {', "val.json:2: not JSON"),
        (b"\xff\xff", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_file_that_is_something_else_ends_in_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read_all(write_text(tmp_path / "val.json", text), "activitynet")
    assert "\n" not in str(caught.value)


def test_a_bom_is_nothing(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf{"a": {"duration": 9, "timestamps": [[0, 1]], "sentences": ["x"]}}'
    assert only_sample(write_text(tmp_path / "val.json", text), "activitynet").events


def test_youcook2_brings_its_split(tmp_path: Path) -> None:
    steps = [{"segment": [1, 5], "sentence": "cut it"}, {"segment": [6, 9], "sentence": "fry it"}]
    video = {"duration": 20.5, "subset": "validation", "recipe_type": "1", "annotations": steps}
    videos = {"a": video, "b": {"duration": 9, "subset": "testing"}}
    path = write_json(tmp_path / "yc2.json", {"database": videos})
    samples, rejections = read_all(path, "youcook2", split=None)
    (sample,) = samples
    assert (sample.video, sample.split) == ("a.mp4", "val")
    assert sample.answer == "<evi>, cut it. <evi>, fry it."
    assert [(r.line, r.video, r.code) for r in rejections] == [(2, "b", "missing_field")]


def test_caption_coco_as_dense_captions(tmp_path: Path) -> None:
    sample = only_sample(write_json(tmp_path / "val.json", {"annotations": [COCO]}), "caption_coco")
    assert (sample.task, sample.answer) == ("dvc", "<evi>, cut it. <evi>, fry it.")


def test_caption_coco_with_a_full_stop_within_a_caption(tmp_path: Path) -> None:
    row = {**COCO, "pure_cap": "add approx. 2 cups. stir"}
    rejection = only_rejection(write_json(tmp_path / "val.json", {"annotations": [row]}), "caption_coco")
    assert (rejection.code, rejection.reason) == ("bad_count", "2 intervals for 3 sentences")


def test_caption_coco_as_queries(tmp_path: Path) -> None:
    row = {"image_id": "b.mp4", "id": 1, "caption": "he sits.", "timestamp": [2, 4.5]}
    sample = only_sample(write_json(tmp_path / "test.json", {"annotations": [row]}), "caption_coco")
    assert (sample.task, sample.video, sample.events[0].caption) == ("tvg", "b.mp4", "he sits")
