from pathlib import Path
from typing import Any

import pytest

from annotations.reading import only_rejection, only_sample, write_json
from d2vlm_pipeline.annotations import ImportConfig, VideoNames, import_rows


def row(task: str, **fields: Any) -> dict[str, Any]:
    record = {"version": 1.0, "idx": 3, "task": task, "source": "qvhighlights", "video": "a.mp4"}
    return {**record, "duration": 35.0, "q": "What happens?", **fields}


def written(tmp_path: Path, *rows: Any) -> Path:
    return write_json(tmp_path / "bench.json", list(rows))


@pytest.mark.parametrize("tgt", [[15.0, 31.0], [[15.0, 31.0]]])
def test_truth_flat_or_in_pairs(tmp_path: Path, tgt: Any) -> None:
    sample = only_sample(written(tmp_path, row("tvg", tgt=tgt, a="what a model said")), "etbench")
    assert (sample.id, sample.source, sample.question) == ("etbench-3", "qvhighlights", "What happens?")
    assert [(event.start_s, event.end_s) for event in sample.events] == [(15.0, 31.0)]
    assert sample.answer == "The event happens in <evi>."


def test_captions(tmp_path: Path) -> None:
    sample = only_sample(written(tmp_path, row("dvc", tgt=[[1, 2], [3, 4]], g=["cut", "fry"])), "etbench")
    assert sample.answer == "<evi>, cut. <evi>, fry."
    assert [event.caption for event in sample.events] == ["cut", "fry"]


def test_choices_with_and_without_evidence(tmp_path: Path) -> None:
    choice = {"o": ["two", "three"], "p": 1}
    gvq = only_sample(written(tmp_path, row("gvq", tgt=[1, 2], **choice)), "etbench")
    assert gvq.answer == "(B) three. The relevant event happens in <evi>." and gvq.answer_index == 1
    asked = row("rar", src=[4, 6], q="After <vid> - <vid>?", **choice)
    rar = only_sample(written(tmp_path, asked), "etbench")
    assert (rar.answer, rar.query_intervals) == ("(B) three.", ((4, 6),))


def test_a_single_stamp_in_the_question(tmp_path: Path) -> None:
    entry = row("rar", src=[4], q="What follows <vid>?", o=["two", "three"], p=0)
    sample = only_sample(written(tmp_path, entry), "etbench")
    assert (sample.question, sample.query_intervals) == ("What follows <evi>?", ((3.0, 5.0),))


def test_options_that_are_intervals_are_written_out(tmp_path: Path) -> None:
    sample = only_sample(written(tmp_path, row("eca", o=[[5.2, 21.4], [48.5, 104]], p=1)), "etbench")
    assert sample.options == ("5.2 - 21.4 seconds", "48.5 - 104.0 seconds")


def test_highlights_of_several_people_are_put_together_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, row("vhd", tgt=[[[2, 4]], [[2, 4], [8, 9]]]))
    ((imported, sample),) = list(import_rows(path, ImportConfig(format="etbench"), VideoNames(["a.mp4"])))
    assert sample is not None
    assert [(event.start_s, event.end_s) for event in sample.events] == [(2, 4), (8, 9)]
    assert imported.note == "judges_put_together"


def test_times_in_the_words_of_a_question_stay_there_and_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, row("rar", src=[4, 6], q="After 4 - 6 s?", o=["two", "three"], p=0))
    ((imported, sample),) = list(import_rows(path, ImportConfig(format="etbench"), VideoNames(["a.mp4"])))
    assert sample is not None and sample.query_intervals == ()
    assert imported.note == "query_times_in_words"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (row("tvg", tgt=[1, 2, 3]), "bad_count"),
        (row("dvc", tgt=[[1, 2]], g=["a", "b"]), "bad_count"),
        (row("dvc", tgt=[[1, 2]]), "missing_field"),
        (row("rvq", o=["a", "b"]), "missing_field"),
        (row("rvq", o=["a", "b"], p=2), "missing_field"),
        (row("rvq", o=["a", "a"], p=1), "invalid_record"),
        (row("tvg", tgt="all"), "invalid_record"),
        (row("tvg", tgt=[[5, 1]]), "bad_interval"),
        (row("tem", src=[1, 2, 3], tgt=[[1, 2]], q="As <vid> - <vid>?"), "bad_count"),
        (row("nonsense", tgt=[]), "invalid_record"),
        (row("tvg", tgt=[1, 2], q=" "), "invalid_record"),
    ],
)
def test_bad_entries(tmp_path: Path, entry: dict[str, Any], code: str) -> None:
    assert only_rejection(written(tmp_path, entry), "etbench").code == code
