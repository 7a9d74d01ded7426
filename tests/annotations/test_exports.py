"""What is written for others and read again is the same; what a format cannot hold is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.reading import read_all
from annotations.samples import tvg
from d2vlm_pipeline.annotations.export import BENCH_TASKS, CLIP_S, ExportFormat, export_samples
from d2vlm_pipeline.annotations.wording import QUESTIONS, captioned, chosen, listed, plain
from d2vlm_pipeline.timeline import Sample

DURATION_S = 60.0
DURATIONS = {"a.mp4": DURATION_S}

# Words a caption may hold; characters of structure among them.
letters = st.sampled_from("abcXYZäß ,;:-'\"<>{}#|/\\.()")
words = st.text(letters, min_size=1, max_size=20).map(plain).filter(str.strip)
times = st.floats(0, DURATION_S, allow_nan=False).map(lambda time_s: round(time_s, 3))
spans = st.tuples(times, times).map(sorted).filter(lambda pair: pair[0] < pair[1])


def once_a_text(texts: list[str]) -> bool:
    return len(set(texts)) == len(texts)


@st.composite
def bench_samples(draw: st.DrawFn) -> Sample:
    """A sample of E.T. Bench as its reader words it."""
    task = draw(st.sampled_from(BENCH_TASKS))
    pairs = draw(st.lists(spans, min_size=1, max_size=4))
    captions = [draw(words) if task in ("dvc", "slc") else "" for _ in pairs]
    events = [
        {"start_s": start_s, "end_s": end_s, "caption": caption}
        for (start_s, end_s), caption in zip(pairs, captions, strict=True)
    ]
    is_referring = task in ("rar", "eca", "rvq")
    options, index, choice = None, None, ""
    if is_referring or task == "gvq":
        options = draw(st.lists(words, min_size=2, max_size=5).filter(once_a_text))
        index = draw(st.integers(0, len(options) - 1))
        choice = chosen(options, index)
    references = {
        **{"tvg": "The event happens in", "epm": "The event happens in", "tal": "The action happens in"},
        **{"evs": "The summary locates in", "vhd": "The highlight moment happens at"},
        **{"tem": "The similar event happens in", "gvq": "The relevant event happens in"},
    }
    if task in ("dvc", "slc"):
        answer = captioned(captions)
    elif is_referring:
        answer, events = choice, []
    else:
        answer = f"{choice} {references[task]} {listed(len(events))}.".strip()
    queries = draw(st.lists(spans, max_size=2)) if is_referring or task == "tem" else []
    question = f"Which {draw(words)}{' <evi>' * len(queries)}?"
    record = tvg("x", task=task, question=question, query_intervals=queries, events=events, answer=answer)
    return Sample.model_validate({**record, "options": options, "answer_index": index})


def numbered(samples: list[Sample], head: str) -> list[Sample]:
    return [sample.model_copy(update={"id": f"{head}{number}"}) for number, sample in enumerate(samples)]


def written(samples: list[Sample], path: Path, format: ExportFormat) -> list[Sample]:
    report = export_samples(samples, DURATIONS, path, format)
    assert report.rows == len(samples) and not report.refused
    assert set(report.lost) <= {"split"}
    again, rejections = read_all(path, format, videos=["a.mp4"])
    assert not rejections, str(rejections[0])
    return again


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.lists(bench_samples(), max_size=5))
def test_etbench_there_and_back(samples: list[Sample], tmp_path: Path) -> None:
    samples = numbered(samples, "etbench-")
    assert written(samples, tmp_path / "bench.json", "etbench") == samples


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(words, st.lists(spans, min_size=1, max_size=4)), max_size=5))
def test_qvhighlights_there_and_back(rows: list[tuple[str, list[Any]]], tmp_path: Path) -> None:
    samples = []
    for query, pairs in rows:
        task = "tvg" if len(pairs) == 1 else "tal"
        happens = "event happens" if task == "tvg" else "action happens"
        record = tvg(
            task=task,
            source="qvhighlights",
            question=QUESTIONS[task].format(query=query),
            events=[{"start_s": start_s, "end_s": end_s, "caption": query} for start_s, end_s in pairs],
            answer=f"The {happens} in {listed(len(pairs))}.",
        )
        samples.append(Sample.model_validate(record))
    samples = numbered(samples, "qvhighlights-")
    assert written(samples, tmp_path / "qvh.jsonl", "qvhighlights") == samples


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.lists(bench_samples(), max_size=5))
def test_our_own_lines_there_and_back(samples: list[Sample], tmp_path: Path) -> None:
    samples = numbered(samples, "id ")
    path = tmp_path / "samples.jsonl"
    assert export_samples(samples, {}, path, "samples").rows == len(samples)
    assert read_all(path, "samples", videos=["a.mp4"])[0] == samples


def test_options_that_are_intervals_stay_numbers(tmp_path: Path) -> None:
    timed, mixed = ["5.2 - 21.4 seconds", "48.5 - 104.0 seconds"], ["5.20 - 21.4 seconds", "never"]
    for options in (timed, mixed):
        record = tvg("etbench-0", task="eca", events=[], answer=chosen(options, 1))
        sample = Sample.model_validate({**record, "options": options, "answer_index": 1})
        assert written([sample], tmp_path / "bench.json", "etbench")[0].options == tuple(options)
        is_timed = options is timed
        assert isinstance(json.loads((tmp_path / "bench.json").read_text())[0]["o"][0], list) == is_timed


def test_what_etbench_cannot_hold_is_counted(tmp_path: Path) -> None:
    region = tvg("2", task="rvc", events=[], answer="A ball.")
    vanished = tvg("3", video="gone.mp4")
    reworded = tvg("4", answer="It is in <evi>.")
    samples = [Sample.model_validate(record) for record in (tvg("1"), region, vanished, reworded)]
    report = export_samples(samples, DURATIONS, tmp_path / "bench.json", "etbench")
    assert report.refused == {"E.T. Bench has no task rvc": 1, "no duration of its video": 1}
    assert (report.rows, report.lost) == (2, {"id": 2, "split": 2, "captions": 2, "answer": 1})


def test_what_qvhighlights_cannot_hold_is_counted(tmp_path: Path) -> None:
    events = [{"start_s": 1, "end_s": 2, "caption": word} for word in ("one", "two")]
    dense = tvg("2", task="dvc", events=events, answer="<evi>, one. <evi>, two.")
    mixed = tvg("3", task="tal", events=events, answer="In <evi>, and <evi>.")
    absent = tvg("4", events=[], answer="No such event happens in the video.")
    samples = [Sample.model_validate(record) for record in (tvg("1"), dense, mixed, absent)]
    report = export_samples(samples, DURATIONS, tmp_path / "qvh.jsonl", "qvhighlights")
    assert report.refused == {
        "task dvc asks for no windows of a query": 1,
        "no one description of what is looked for": 2,
    }
    assert (report.rows, report.lost) == (1, {"id": 1, "split": 1, "question": 1, "source": 1})


def test_clips_of_a_window_are_those_that_begin_in_it(tmp_path: Path) -> None:
    sample = Sample.model_validate(
        tvg(events=[{"start_s": 82, "end_s": 90, "caption": "he cooks"}], video="long.mp4")
    )
    export_samples([sample], {"long.mp4": 150.0}, tmp_path / "qvh.jsonl", "qvhighlights")
    row = json.loads((tmp_path / "qvh.jsonl").read_text())
    assert row["relevant_clip_ids"] == [41, 42, 43, 44] and CLIP_S == 2.0
    assert (row["vid"], row["relevant_windows"]) == ("long", [[82.0, 90.0]])


def test_numbers_of_others_do_not_clash_with_those_that_are_kept(tmp_path: Path) -> None:
    names = ["foreign", "etbench-0", "etbench-01", "another", "etbench-2"]
    samples = [Sample.model_validate(tvg(name)) for name in names]
    export_samples(samples, DURATIONS, tmp_path / "bench.json", "etbench")
    numbers = [row["idx"] for row in json.loads((tmp_path / "bench.json").read_text())]
    assert numbers == [1, 0, 3, 4, 2]


@pytest.mark.parametrize("format", ["etbench", "qvhighlights", "samples"])
def test_nothing_is_a_file_too(format: ExportFormat, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    assert export_samples([], {}, path, format).rows == 0
    assert read_all(path, format) == ([], [])
