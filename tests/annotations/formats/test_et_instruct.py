from pathlib import Path
from typing import Any

import pytest

from annotations.reading import only_rejection, only_sample, read_all, write_json
from d2vlm_pipeline.artifacts import UserError


def turns(human: str, gpt: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": human}, {"from": "gpt", "value": gpt}]


def row(human: str, gpt: str, **changes: Any) -> dict[str, Any]:
    record = {"task": "slc", "source": "how_to_step", "video": "a.mp4", "duration": 200.5}
    return {**record, "conversations": turns(human, gpt), **changes}


def written(tmp_path: Path, *rows: Any) -> Path:
    return write_json(tmp_path / "evi.json", list(rows))


def test_the_evi_flavour(tmp_path: Path) -> None:
    answer = "<evi><evi></evi><evi>, cut it. <evi>, fry it."
    entry = row("<image>\nName the steps.", answer, tgt=[36, 44, 49, 57])
    sample = only_sample(written(tmp_path, entry), "et_instruct")
    assert (sample.id, sample.task, sample.source) == ("evi-1", "slc", "how_to_step")
    assert (sample.question, sample.answer) == ("Name the steps.", "<evi>, cut it. <evi>, fry it.")
    spans = [(event.start_s, event.end_s, event.caption) for event in sample.events]
    assert spans == [(36, 44, "cut it"), (49, 57, "fry it")]
    assert sample.response().render() == answer


def test_the_vid_flavour_writes_an_interval_as_two_stamps(tmp_path: Path) -> None:
    tgt = [36, 44, 49, 57]
    vid = row("<image>\nName them.", "<vid> - <vid>, cut it. <vid> - <vid>, fry it.", tgt=tgt)
    evi = row("<image>\nName them.", "<evi><evi></evi><evi>, cut it. <evi>, fry it.", tgt=tgt)
    first, second = (only_sample(written(tmp_path, entry), "et_instruct") for entry in (vid, evi))
    assert first == second


def test_times_of_the_question(tmp_path: Path) -> None:
    human = "What happens in <vid> - <vid>?\n<image>"
    entry = row(human, "He sits.", task="rvc", src=[12, 18])
    sample = only_sample(written(tmp_path, entry), "et_instruct")
    assert (sample.question, sample.query_intervals) == ("What happens in <evi>?", ((12, 18),))
    assert sample.events == () and sample.answer == "He sits."


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("from <vid> to <vid>", 1),
        ("between <vid> and <vid>", 1),
        ("<vid>–<vid>", 1),
        ("at <vid> and <vid>", 2),
        ("<vid> - <vid>, <vid> - <vid>", 2),
        ("<vid> - <vid>, and <vid>", 2),
    ],
)
def test_which_stamps_belong_together(tmp_path: Path, words: str, count: int) -> None:
    times = [float(number) for number in range(10, 10 + 3 * words.count("<vid>"), 3)]
    entry = row("q", f"It happens {words}.", task="tal", tgt=times)
    sample = only_sample(written(tmp_path, entry), "et_instruct")
    assert len(sample.events) == count == sample.answer.count("<evi>")


@pytest.mark.parametrize("flavour", ["<vid>", "<evi></evi>The highlight is at <evi>."])
def test_a_single_time_is_an_interval_around_it(tmp_path: Path, flavour: str) -> None:
    answer = f"The highlight is at {flavour}." if flavour == "<vid>" else flavour
    entry = row("<image>\nWhich?", answer, task="vhd", tgt=[10.0])
    sample = only_sample(written(tmp_path, entry), "et_instruct", instant_s=3.0)
    assert [(event.start_s, event.end_s) for event in sample.events] == [(8.5, 11.5)]


@pytest.mark.parametrize(("time_s", "span"), [(0.0, (0.0, 1.0)), (200.5, (199.5, 200.5))])
def test_a_single_time_at_an_end_stays_within_the_video(
    tmp_path: Path, time_s: float, span: tuple[float, float]
) -> None:
    entry = row("<image>\nWhich?", "It is at <vid>.", task="vhd", tgt=[time_s])
    (event,) = only_sample(written(tmp_path, entry), "et_instruct").events
    assert (event.start_s, event.end_s) == span


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"tgt": [36, 44, 49]}, "bad_count", "the answer has 3 times for 2 <evi>"),
        ({"tgt": None}, "bad_count", "0 times"),
        ({"src": [1, 2]}, "bad_count", "the question has 2 times for no <vid> or <evi>"),
        ({"tgt": [44, 36, 49, 57]}, "bad_interval", "before it starts"),
        ({"task": "sing"}, "invalid_record", "unknown task"),
        ({"conversations": turns("q", "a") * 2}, "bad_count", "4 turns"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "bad_count", "1 turns"),
        ({"conversations": [{"from": "dog", "value": "q"}]}, "invalid_record", "conversations"),
        ({"video": "/etc/passwd"}, "outside_root", "absolute"),
        ({"conversations": turns("q", "<evi></evi><evi>, a. <evi>, b.")}, "bad_count", "evidence half"),
        ({"conversations": turns("q", "so <evi></evi><evi>.")}, "bad_count", "holds words"),
        ({"conversations": turns("q", "<evi></evi><evi></evi>")}, "bad_count", "more than one"),
    ],
)
def test_bad_entries(tmp_path: Path, changes: dict[str, Any], code: str, said: str) -> None:
    entry = row("q", "<evi><evi></evi><evi>, cut it. <evi>, fry it.", tgt=[36, 44, 49, 57])
    rejection = only_rejection(written(tmp_path, {**entry, **changes}), "et_instruct")
    assert rejection.code == code and said in rejection.reason, str(rejection)


def test_times_in_words_are_told_as_such(tmp_path: Path) -> None:
    entry = row("q", "36.0 - 44.0 seconds, cut it.", tgt=[36, 44])
    rejection = only_rejection(written(tmp_path, entry), "et_instruct")
    assert rejection.code == "bad_count" and "`txt` kind" in rejection.reason


def test_one_bad_entry_costs_itself(tmp_path: Path) -> None:
    good = row("q", "<evi></evi>It is in <evi>.", task="tvg", tgt=[1, 2])
    path = written(tmp_path, good, 7, None, ["x"], {}, good)
    samples, rejections = read_all(path, "et_instruct")
    assert [sample.id for sample in samples] == ["evi-1", "evi-6"]
    assert [rejection.line for rejection in rejections] == [2, 3, 4, 5]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a JSON list"):
        read_all(write_json(tmp_path / "x.json", {"a": 1}), "et_instruct")
