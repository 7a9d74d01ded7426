"""MVBench and Video-MME: which files are taken, what is refused, what each rule makes of an answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.mvbench import MVBenchRules
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.evaluation.benchmarks.video_mme import VideoMMERules


def dumped(path: Path, entries: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def score(name: str, predictions: Path, *truths: Path, rules: Any = None) -> Scored:
    benchmark = find_benchmark(name)
    material = benchmark.read(Files(predictions, truths))
    return benchmark.score(material, rules or benchmark.protocols["strict"].rules)


def mvbench(folder: Path, *answers: str, truth: str = "(B) a bag") -> Path:
    return dumped(
        folder / "task.json", [{"idx": n, "pred": a, "gt": truth} for n, a in enumerate(answers)]
    )


def question(number: int = 0, answer: str = "B", **more: Any) -> dict[str, Any]:
    return {
        "video_id": f"v{number // 3}",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Law",
        "question_id": f"{number:03}",
        "task_type": "OCR Problems",
        "question": "what is it?",
        "options": ["A. a box.", "B. a bag.", "C. a can.", "D. a cat."],
        "answer": answer,
        "a": "(B)",
        **more,
    }


@pytest.mark.parametrize(
    ("answer", "strict", "lenient", "pieces_agree"),
    [
        ("(B)", 1, 1, 1),
        ("b", 1, 1, 1),
        ("B. a bag", 1, 1, 1),
        ("</evi>(B) a bag", 1, 1, 1),
        ("The answer is (B)", 0, 1, 0),
        ("Best option: (B)", 0, 1, 0),
        ("", 0, 0, 1),
        ("   ", 0, 0, 1),
        ("</evi>", 0, 0, 1),
        ("(", 0, 0, 1),
        ("(A)", 0, 0, 0),
        ("no idea", 0, 0, 0),
    ],
)
def test_what_mvbench_makes_of_an_answer(
    answer: str, strict: int, lenient: int, pieces_agree: int, tmp_path: Path
) -> None:
    path = mvbench(tmp_path, answer)
    wanted = {
        MVBenchRules(): strict,
        MVBenchRules(first_word=False): lenient,
        MVBenchRules(pieces_agree=True): pieces_agree,
    }
    for rules, share in wanted.items():
        assert score("mvbench", path, rules=rules).metrics == {"task": 100.0 * share, "Total": 100.0 * share}


@pytest.mark.parametrize(
    ("answer", "letter", "capital"),
    [
        ("B", "B", "B"),
        ("b", "B", None),
        ("(B) a bag", "B", "B"),
        ("The answer is B.", "B", "B"),
        ("Answer: B", "B", "B"),
        ("Best option: (B)", "B", "B"),
        ("</evi>B. a bag", "B", "B"),
        ("it is a bag", "B", None),
        ("A dog took it: (B)", "B", "A"),
        ("The best option is B", "B", "B"),
        ("", None, None),
        ("I am not sure", None, None),
        ("E.", None, None),
    ],
)
def test_what_video_mme_makes_of_an_answer(
    answer: str, letter: str | None, capital: str | None, tmp_path: Path
) -> None:
    path = dumped(tmp_path / "p.json", [question(a=answer), question(1, a="(A)")])
    for rules, found in ((VideoMMERules(first_capital=False), letter), (VideoMMERules(), capital)):
        result = score("video-mme", path, rules=rules)
        assert result.metrics["all"] == 50.0 * (found == "B")
        assert result.counts.unparsed == (found is None)
    leaving = score("video-mme", path, rules=VideoMMERules(unread_leave=True))
    assert leaving.metrics["all"] == (0.0 if capital is None else 50.0 * (capital == "B"))


@pytest.mark.parametrize("name", ["mvbench", "video-mme"])
def test_a_question_answered_twice_is_an_error_only_under_strict(name: str, tmp_path: Path) -> None:
    entry = {"idx": 0, "pred": "(B)", "gt": "(B) a bag"} if name == "mvbench" else question()
    path = dumped(tmp_path / "p.json", [entry, entry])
    with pytest.raises(UserError, match=r"p\.json: entry 2: a prediction for this question came before"):
        score(name, path)
    official = score(name, path, rules=find_benchmark(name).protocols["official"].rules)
    assert official.counts.duplicates == 1 and official.counts.queries == 1


@pytest.mark.parametrize("name", ["mvbench", "video-mme"])
def test_with_ground_truth_what_is_not_answered_is_wrong(name: str, tmp_path: Path) -> None:
    entries = {
        "mvbench": [{"idx": n, "pred": "(B)", "gt": "(B) a bag"} for n in range(4)],
        "video-mme": [question(n) for n in range(4)],
    }[name]
    truth = dumped(tmp_path / "truth" / "p.json", entries)
    result = score(name, dumped(tmp_path / "p.json", entries[:3]), truth)
    assert result.metrics["Total" if name == "mvbench" else "all"] == 75.0
    assert result.counts.missing == 1 and result.counts.queries == 4
    with pytest.raises(UserError, match=r"p\.json: entry 4: the ground truth has no such question"):
        score(name, truth, dumped(tmp_path / "less" / "p.json", entries[:3]))


def test_a_prediction_of_null_is_missing(tmp_path: Path) -> None:
    path = dumped(tmp_path / "p.json", [question(), question(1, a=None)])
    assert score("video-mme", path).counts.missing == 1
    folder = tmp_path / "mvbench"
    dumped(folder / "t.json", [{"idx": 0, "pred": None, "gt": "(B) a bag"}])
    result = score("mvbench", folder, rules=find_benchmark("mvbench").protocols["official"].rules)
    assert result.counts.missing == 1 and result.metrics["Total"] == 0.0


def test_mvbench_s_own_annotations_are_a_ground_truth_that_names_videos(tmp_path: Path) -> None:
    row = {"video": "v.mp4", "question": "what?", "candidates": ["a box", "a bag"], "answer": "a bag"}
    truth = dumped(tmp_path / "truth" / "task.json", [row, {**row, "answer": "a box"}])
    result = score("mvbench", mvbench(tmp_path / "p", "(B)", "(B)"), truth.parent)
    assert result.metrics["Total"] == 50.0
    assert {query.video for query in result.queries} == {"v.mp4"}
    assert result.notes == ("MVBench has 4000 questions in 20 tasks, these files 2 in 1",)


def test_tasks_are_scored_apart_and_pooled_in_total(tmp_path: Path) -> None:
    dumped(tmp_path / "p" / "one.json", [{"idx": 0, "pred": "(B)", "gt": "(B) a bag"}])
    dumped(tmp_path / "p" / "two.json", [{"idx": n, "pred": "(A)", "gt": "(B) a bag"} for n in range(3)])
    assert score("mvbench", tmp_path / "p").metrics == {"one": 100.0, "two": 0.0, "Total": 25.0}


def test_video_mme_in_json_lines_or_a_folder_is_the_same(tmp_path: Path) -> None:
    entries = [question(n, duration=d, a="(A)") for n, d in enumerate(["short", "long", "long"])]
    lines = tmp_path / "p.jsonl"
    lines.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    dumped(tmp_path / "folder" / "a.json", entries[:1])
    dumped(tmp_path / "folder" / "b.json", entries[1:])
    found = [score("video-mme", path).metrics for path in (lines, tmp_path / "folder")]
    assert found[0] == found[1]
    assert set(found[0]) == {"short", "long", "all"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: question(duration="brief"), "entry 1: duration: expected one of short medium long"),
        (lambda: question(answer="E"), "entry 1: answer: expected a letter of ABCD, got 'E'"),
        (lambda: question(options=["A. a", "B. b"]), "entry 1: options: expected 4 options, got 2"),
        (lambda: question(a=3), "entry 1: a: expected text, got 3"),
        (lambda: question(question_id=1.5), "entry 1: question_id: expected an integer, got 1.5"),
        (lambda: {k: v for k, v in question().items() if k != "a"}, "entry 1: no key 'a'"),
    ],
)
def test_an_entry_of_another_form_is_refused(
    make: Callable[[], dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        score("video-mme", dumped(tmp_path / "p.json", [make()]))
    assert message in str(caught.value)


def test_a_true_option_without_letter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the true option with its letter"):
        score("mvbench", mvbench(tmp_path, "(B)", truth="a bag"))
