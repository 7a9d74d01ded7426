"""Video-MME: questions with options over videos of three lengths; every answer beside its true option.

A prediction is an entry of Video-MME with the answer under `a`: `{"video_id", "duration", "domain",
"sub_category", "question_id", "task_type", "question", "options", "answer", "a"}`. Ground truth, where given,
is a list of the same without `a`.
"""

from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.evaluation.benchmarks.choices import (
    Answers,
    Item,
    Judged,
    accuracy,
    counts,
    json_files,
    matched,
    percent_right,
    queries,
)
from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_lines, load_list
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Files, Protocol, Scored, Trap, Tree
from d2vlm_pipeline.evaluation.reading import careful_option
from d2vlm_pipeline.evaluation.reading.multiple_choice import first_capital

DURATIONS = ("short", "medium", "long")
ALL = "all"
BREAKDOWN = ("domain", "sub_category", "task_type")
_LETTERS = "ABCD"
_SUFFIXES = (".json", ".jsonl")
_VIDEOS_EACH = 300


@dataclass(frozen=True)
class VideoMMERules:
    """How an answer is judged.

    Attributes:
        first_capital: it names the first capital A to D before its first full stop, as the benchmark's script
            has it; else the option whose letter, in any form, or whose words it says.
        unread_leave: an answer that names none leaves the denominator; else it is wrong.
        refuses_surplus: whether predictions given twice, or of no question, are an error.
        decimals: that figures are rounded to; None for none.
    """

    first_capital: bool = True
    unread_leave: bool = False
    refuses_surplus: bool = True
    decimals: int | None = None


def read(files: Files) -> Answers:
    """Answers; without ground truth the questions are those that were answered."""
    said = [
        (row, _item(row, None if row["a"].value is None else row["a"].text))
        for path in json_files(files.predictions, _SUFFIXES)
        for row in _rows(path)
    ]
    truth = [
        _item(row, None)
        for path in files.truths
        for file in json_files(path, _SUFFIXES)
        for row in _rows(file)
    ]
    return matched(said, truth if files.truths else None)


def score(answers: Answers, rules: VideoMMERules) -> Scored:
    """Accuracy by duration and over `all`, and the tables of the published report; percent."""
    if rules.refuses_surplus:
        answers.refuse_surplus()
    judged = [_judged(item, rules) for item in answers.items]
    by_duration = {name: [one for one in judged if one.item.groups[0] == name] for name in DURATIONS}
    parts = {**{name: part for name, part in by_duration.items() if part}, ALL: judged}
    return Scored(
        metrics={name: percent_right(part, rules.decimals) for name, part in parts.items()},
        measures=tuple(accuracy((name,), part) for name, part in parts.items()),
        queries=queries(judged, lambda item: item.groups[3]),
        counts=counts(answers, judged),
        headline=tuple((name,) for name in (ALL, *(name for name in DURATIONS if name in parts))),
        notes=_notes(by_duration),
        tables={name: _breakdown(part, rules.decimals) for name, part in parts.items()},
    )


def _judged(item: Item, rules: VideoMMERules) -> Judged:
    answer = item.answer or ""
    letter = first_capital(answer) if rules.first_capital else _letter(answer, item.options)
    is_counted = letter is not None or not rules.unread_leave
    return Judged(item, letter is not None, letter == item.truth, is_counted)


def _letter(answer: str, options: tuple[str, ...]) -> str | None:
    index = careful_option(answer, options)
    return None if index is None else _LETTERS[index]


def _breakdown(judged: list[Judged], decimals: int | None) -> Tree:
    """Accuracy by domain, by sub-category and by kind of task, in alphabetical order."""
    found: Tree = {}
    for place, kind in enumerate(BREAKDOWN, start=1):
        names = sorted({one.item.groups[place] for one in judged})
        parts = {name: [one for one in judged if one.item.groups[place] == name] for name in names}
        found[kind] = {name: percent_right(part, decimals) for name, part in parts.items()}
    return found


def _notes(by_duration: dict[str, list[Judged]]) -> tuple[str, ...]:
    videos = {name: len({one.item.video for one in part}) for name, part in by_duration.items()}
    if all(count == _VIDEOS_EACH for count in videos.values()):
        return ()
    seen = ", ".join(f"{name} {count}" for name, count in videos.items())
    return (f"the benchmark has {_VIDEOS_EACH} videos of each duration, these files {seen}",)


def _rows(path: Path) -> list[Row]:
    return load_lines(path) if path.suffix == ".jsonl" else load_list(path)


def _item(row: Row, answer: str | None) -> Item:
    duration, truth = row["duration"], row["answer"]
    if duration.text not in DURATIONS:
        raise duration.error(f"expected one of {' '.join(DURATIONS)}, got {duration.text!r}")
    if truth.text not in tuple(_LETTERS):
        raise truth.error(f"expected a letter of {_LETTERS}, got {truth.text!r}")
    return Item(
        id=row["question_id"].label,
        video=row["video_id"].label,
        truth=truth.text,
        answer=answer,
        question=row["question"].text,
        options=_options(row["options"]),
        groups=(duration.text, *(row[kind].text for kind in BREAKDOWN)),
    )


def _options(row: Row) -> tuple[str, ...]:
    """Words of the options, without the letters that lead them: `A. a box.`"""
    if len(row.items) != len(_LETTERS):
        raise row.error(f"expected {len(_LETTERS)} options, got {len(row.items)}")
    return tuple(
        part.text.removeprefix(f"{letter}.").strip() for letter, part in zip(_LETTERS, row.parts, strict=True)
    )


BENCHMARK: Benchmark[Answers, VideoMMERules] = Benchmark(
    name="video-mme",
    summary="questions with four options over short, medium and long videos: one JSON list",
    read=read,
    score=score,
    protocols={
        "strict": Protocol(VideoMMERules(), "the first capital A to D of an answer; every question counts"),
        "lenient": Protocol(
            VideoMMERules(first_capital=False), "the option that an answer names by any letter, or by words"
        ),
        "official": Protocol(
            VideoMMERules(unread_leave=True, refuses_surplus=False, decimals=1),
            "the D²VLM authors' script leaves out answers without a capital A to D",
        ),
    },
    traps=(
        Trap(
            VideoMMERules(unread_leave=True),
            "answers that name no option leave the denominator",
            "official",
            3,
        ),
    ),
    truth="carried",
)
