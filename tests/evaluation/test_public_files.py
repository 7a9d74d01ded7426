"""Predictions leave in public formats, and `d2vlm score` makes of them what it makes of our own records."""

import json
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.annotations.export import export_samples
from d2vlm_pipeline.evaluation.answers import Guess, guess_prediction
from d2vlm_pipeline.evaluation.benchmarks import command
from d2vlm_pipeline.evaluation.public_files import AnswerFormat, export_answers
from d2vlm_pipeline.timeline import Event, Prediction, Sample, dump_jsonl

DURATIONS = {f"v_{k}.mp4": 30.0 for k in range(4)}


def moment(number: int) -> Sample:
    """A query for one moment of a clip, as read from Charades-STA."""
    caption = f"person number {number} sits down"
    return Sample(
        id=f"charades_sta-{number + 1}",
        video=f"v_{number}.mp4",
        task="tvg",
        source="charades_sta",
        split="test-iid",
        question=f"When does this happen: {caption}?",
        events=(Event(start_s=4.25, end_s=12.5 + number, caption=caption),),
        answer="The event happens in <evi>.",
    )


def recipe(number: int) -> Sample:
    events = tuple(
        Event(start_s=start_s, end_s=start_s + 6.0, caption=caption)
        for start_s, caption in ((1.0, "cut the onion"), (10.5, "stir the soup"))
    )
    return Sample(
        id=f"youcook2-{number}",
        video=f"v_{number}.mp4",
        task="dvc",
        source="youcook2",
        split="test-iid",
        question="Describe the steps.",
        events=events,
        answer=" ".join(f"<evi>, {event.caption}." for event in events),
    )


def answers(samples: list[Sample]) -> list[Prediction]:
    """The truth, later by more from sample to sample; the last answer cannot be parsed."""
    said = [
        guess_prediction(
            sample,
            Guess(
                spans=[(event.start_s + late_s, event.end_s + late_s) for event in sample.events],
                captions=[event.caption for event in sample.events],
            ),
            "model",
        )
        for late_s, sample in enumerate(samples)
    ]
    broken = {"parsed": False, "parse_error": "empty answer", "raw": "", "answer": "", "segments": ()}
    return [*said[:-1], said[-1].model_copy(update={**broken, "evidence": ()})]


def figures(benchmark: str, predictions: Path, truth: Path | None, folder: Path) -> dict[str, Any]:
    """`metrics` of `d2vlm score`, strict."""
    out = folder / f"{benchmark}.json"
    list(command.run(benchmark, predictions, truth, json=out))
    metrics: dict[str, Any] = json.loads(out.read_text())["metrics"]
    return metrics


def written(folder: Path, samples: list[Sample], format: AnswerFormat) -> Path:
    path = folder / f"{format}.json"
    export_answers(samples, answers(samples), DURATIONS, path, format)
    return path


def grounded(folder: Path, samples: list[Sample]) -> dict[str, Any]:
    truth = folder / "samples.jsonl"
    truth.write_text(dump_jsonl(samples))
    return figures("grounded", written(folder, samples, "grounded"), truth, folder)


def test_moments_score_the_same_in_every_format(tmp_path: Path) -> None:
    samples = [moment(number) for number in range(4)]
    ours = grounded(tmp_path, samples)["tvg"]
    events = [sample.events[0] for sample in samples]
    lines = [f"v_{k} {event.start_s} {event.end_s}##{event.caption}" for k, event in enumerate(events)]
    (tmp_path / "charades.txt").write_text("\n".join(lines) + "\n")
    path = written(tmp_path, samples, "charades-sta")
    theirs = figures("charades-sta", path, tmp_path / "charades.txt", tmp_path)
    assert theirs["mIoU"] == pytest.approx(ours["miou"])
    assert 0 < theirs["mIoU"] < 100
    for threshold in (0.3, 0.5, 0.7):
        assert theirs[f"R1@{threshold}"] == pytest.approx(ours[f"r1@{threshold}"])

    qvh = tmp_path / "qvh_truth.jsonl"
    export_samples(samples, DURATIONS, qvh, "qvhighlights")
    rows = [json.loads(line) for line in qvh.read_text().splitlines()]
    rated = [{**row, "saliency_scores": [[0, 1, 2]] * len(row["relevant_clip_ids"])} for row in rows]
    qvh.write_text("".join(f"{json.dumps(row)}\n" for row in rated))
    path = written(tmp_path, samples, "qvhighlights")
    theirs = figures("qvhighlights", path, qvh, tmp_path)["brief"]
    assert theirs["MR-full-R1@0.5"] == pytest.approx(ours["r1@0.5"])
    assert theirs["MR-full-R1@0.7"] == pytest.approx(ours["r1@0.7"])

    truth = {
        f"v_{k}": {
            "duration": 30.0,
            "timestamps": [[event.start_s, event.end_s]],
            "sentences": [event.caption],
        }
        for k, event in enumerate(events)
    }
    (tmp_path / "anet.json").write_text(json.dumps(truth))
    path = written(tmp_path, samples, "activitynet-captions")
    theirs = figures("activitynet-captions", path, tmp_path / "anet.json", tmp_path)
    assert theirs["mIoU"] == pytest.approx(ours["miou"])


def test_e_t_bench_reads_our_answers_as_we_meant_them(tmp_path: Path) -> None:
    samples = [moment(number) for number in range(4)]
    ours = grounded(tmp_path, samples)["tvg"]
    path = written(tmp_path, samples, "etbench")
    rows = json.loads(path.read_text())
    assert rows[1]["a"] == "5.25 - 14.5</evi>The event happens in 5.25 - 14.5 seconds."
    theirs = figures("etbench", path, None, tmp_path)["per_task_source"]["tvg"]["charades_sta"]
    assert 100.0 * theirs["F1"] == pytest.approx(ours["f1"], abs=1e-3)


def test_captions_are_those_of_the_answer(tmp_path: Path) -> None:
    samples = [recipe(number) for number in range(2)]
    said = [
        {"timestamp": [1.0, 7.0], "caption": "cut the onion"},
        {"timestamp": [10.5, 16.5], "caption": "stir the soup"},
    ]
    cooked = json.loads(written(tmp_path, samples, "youcook2").read_text())
    assert list(cooked) == ["v_0.mp4", "v_1.mp4"] and cooked["v_1.mp4"] == []
    assert [entry["timestamp"] for entry in cooked["v_0.mp4"]] == [entry["timestamp"] for entry in said]
    assert [entry["caption"].rstrip(".") for entry in cooked["v_0.mp4"]] == [e["caption"] for e in said]
    dense = json.loads(written(tmp_path, samples, "activitynet-captions").read_text())
    told = [entry["sentence"].rstrip(".") for entry in dense["results"]["v_0"]]
    assert told == [entry["caption"] for entry in said] and dense["results"]["v_1"] == []


def test_what_a_format_cannot_hold_is_counted(tmp_path: Path) -> None:
    samples = [moment(0), recipe(1)]
    report = export_answers(samples, answers(samples), DURATIONS, tmp_path / "q.jsonl", "qvhighlights")
    assert (report.rows, sum(report.refused.values())) == (1, 1)
    report = export_answers(samples, answers(samples), {}, tmp_path / "b.json", "etbench")
    assert (report.rows, dict(report.refused)) == (0, {"no duration of its video": 2})
