"""Rows of a request: what becomes a question, what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.door import Door, DoorConfig
from d2vlm_pipeline.registry.example import example_clip, example_row
from d2vlm_pipeline.registry.opening import open_predictor
from d2vlm_pipeline.timeline import ModelRef, Prediction, Question
from registry.answering import answering_model, one_thread

REF = ModelRef(name="tiny", digest="d" * 64)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory = answering_model(tmp_path_factory.mktemp("model") / "tiny")
    with one_thread():
        yield Door(replace(open_predictor(directory, REF), max_new_tokens=16), DoorConfig(video_mb=1))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(example_clip())
    return path


class Recorder:
    """Answers nothing, and keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def answer_batch(self, questions: Sequence[Question]) -> list[Prediction]:
        self.asked += questions
        return [
            Prediction(
                video=question.video,
                system="recorder",
                question=question.question,
                answer="",
                raw="",
                parsed=True,
                timebase_digest="t",
                model=REF,
            )
            for question in questions
        ]


def recording() -> tuple[Door, Recorder]:
    recorder = Recorder()
    return Door(recorder, DoorConfig()), recorder  # type: ignore[arg-type]


def test_bytes_and_path_of_one_clip_get_one_answer(door: Door, clip: Path) -> None:
    sent, named = door.answer([example_row(), {"video": str(clip), "question": example_row()["question"]}])
    assert sent.video.startswith("sha256:") and named.video == str(clip)
    assert (sent.raw, sent.answer, sent.evidence) == (named.raw, named.answer, named.evidence)
    assert sent.timebase_digest == named.timebase_digest and sent.model == REF


def test_nothing_that_was_sent_is_kept(door: Door) -> None:
    door.answer([example_row()])
    with pytest.raises(UserError):
        door.answer([example_row() | {"video_bytes": b"no video"}])
    assert list(Path(door._scratch.name).iterdir()) == []


def test_a_file_that_changes_is_read_again(clip: Path) -> None:
    door, recorder = recording()
    row = {"video": str(clip), "question": "When?"}
    door.answer([row, row])
    clip.write_bytes(b"another")
    door.answer([row])
    first, again, changed = (question.video for question in recorder.asked)
    assert first == again != changed and Path(changed).name == "clip.mp4"


def test_optional_cells_may_be_missing_empty_lists_or_json(clip: Path) -> None:
    door, recorder = recording()
    asked = {"video": str(clip), "question": "What happens in <evi>?"}
    for spans in ([[1, 2.5]], "[[1, 2.5]]", np.array([[1, 2.5]])):
        door.answer([asked | {"query_intervals": spans, "video_bytes": float("nan")}])
        assert recorder.asked[-1].query_intervals == ((1.0, 2.5),)
    for empty in (None, "", float("nan")):
        door.answer([{"video": str(clip), "question": "Which?", "query_intervals": empty, "options": empty}])
        assert recorder.asked[-1].query_intervals == () and recorder.asked[-1].options is None
    door.answer([{"video": str(clip), "question": "Which?", "options": json.dumps(["red", "blue"])}])
    assert recorder.asked[-1].options == ("red", "blue")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "When?"}, "row 2: give either video, a path, or video_bytes"),
        ({"video": "a.mp4", "video_bytes": b"x", "question": "When?"}, "row 2: give either video"),
        ({"video_bytes": b"no video", "question": "When?"}, "row 2: video_bytes: .*; give a video file"),
        ({"video_bytes": b"0" * (1 << 20) + b"0", "question": "When?"}, "row 2: .*more than 1 MiB; cut"),
        ({"video_bytes": 3, "question": "When?"}, "row 2: .*send base64"),
        ({"video": "/nowhere/a.mp4", "question": "When?"}, "row 2: a.mp4: no such file; check the path"),
        ({"video": "/dev/zero", "question": "When?"}, "row 2: zero: neither a file"),
        (example_row() | {"question": None}, "row 2: question"),
        (example_row() | {"question": "In <evi>?"}, "row 2: .*<evi>"),
        (example_row() | {"query_intervals": "soon"}, "row 2: query_intervals is no list"),
        (example_row() | {"options": ["red"]}, "row 2: options"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_its_row(door: Door, row: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        door.answer([example_row(), row])
    assert "\n" not in str(refused.value)


def test_a_folder_of_videos_keeps_requests_inside(clip: Path) -> None:
    recorder = Recorder()
    door = Door(recorder, DoorConfig(), clip.parent)  # type: ignore[arg-type]
    (answer,) = door.answer([{"video": "clip.mp4", "question": "When?"}])
    assert answer.video == "clip.mp4" and len(recorder.asked) == 1
    for outside in (str(clip), "../clip.mp4", "/etc/passwd", "file:///etc/passwd"):
        with pytest.raises(UserError, match="row 1: "):
            door.answer([{"video": outside, "question": "When?"}])
    assert len(recorder.asked) == 1


def test_the_example_is_small_and_the_same_always() -> None:
    assert example_clip()[4:8] == b"ftyp" and len(example_clip()) < 20_000
    example_clip.cache_clear()
    again = example_row()["video_bytes"]
    assert again == example_clip()
