"""Questions of E.T. Bench with what was answered to them (PolyU-ChenLab/ETBench, docs/BENCHMARK.md).

A prediction is a row of the benchmark with the answer in `a`, so truth comes with it. Where a file of truth
is given too, its rows are the questions, and predictions are taken by task, source and idx.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_lines, load_list, shown
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Span
from d2vlm_pipeline.evaluation.reading import Option

CHOSEN = ("rar", "eca", "rvq", "gvq")
DESCRIBED = ("dvc", "slc")
ONE_EVENT = ("tvg", "epm", "gvq")
TASKS = ("rar", "eca", "rvq", "tvg", "epm", "tal", "evs", "vhd", "dvc", "slc", "tem", "gvq")
_MOST_OPTIONS = 26
_OVER_S = 1.0  # by how much a true interval may pass a duration that was rounded


@dataclass(frozen=True)
class Item:
    """One question with its truth and its answer.

    Attributes:
        name: task, source and idx: what tells questions apart.
        answer: as predicted; None where nothing was.
        truth: true intervals; of highlights those of all judges.
        option_texts: options as the file writes them, intervals as `5 - 7.5`.
        right: index of the right option, None where the task has none.
        surplus: a prediction beyond the first of its question.
    """

    row: Row
    name: str
    task: str
    source: str
    video: str
    duration_s: float | None
    question: str
    answer: str | None
    truth: tuple[Span, ...] = ()
    options: tuple[Option, ...] = ()
    option_texts: tuple[str, ...] = ()
    right: int | None = None
    captions: tuple[str, ...] = ()
    surplus: bool = False


@dataclass(frozen=True)
class Answers:
    """Every question in the order of the file, repeated ones too; `unknown`: predictions of no question."""

    items: tuple[Item, ...]
    unknown: tuple[Row, ...] = ()


def read(files: Files) -> Answers:
    """Predictions, with the truth of a file of its own where one is given.

    Raises:
        UserError: unreadable, of another form, or options, captions and intervals that do not fit together.
    """
    rows = list(_rows(files.predictions))
    if not files.truths:
        return Answers(_marked([_item(row, answered=True) for row in rows]))
    questions = [_item(row, answered=False) for path in files.truths for row in _rows(path)]
    said: dict[str, list[Row]] = {}
    for row in rows:
        said.setdefault(_name(row), []).append(row)
    items = [
        replace(item, row=row, answer=_answer(row))
        for item in questions
        for row in said.get(item.name, ())
    ]
    answered = {item.name for item in items}
    missing = [item for item in questions if item.name not in answered]
    known = {item.name for item in questions}
    unknown = tuple(row for name, found in said.items() if name not in known for row in found)
    return Answers(_marked([*items, *missing]), unknown)


def refuse_mistakes(answers: Answers) -> None:
    """What a careful reader does not score: questions answered twice, answers to none, impossible truth.

    Raises:
        UserError: of the first such row.
    """
    for row in answers.unknown:
        raise row.error("an answer to no question of the ground truth", "drop the row")
    for item in answers.items:
        if item.surplus:
            raise item.row.error(f"{item.name} is answered more than once", "keep one of the answers")
        for start_s, end_s in item.truth:
            if start_s < 0 or end_s < start_s:
                raise item.row.error(f"true interval {start_s:g} to {end_s:g} s is none")
            if item.duration_s is not None and end_s > item.duration_s + _OVER_S:
                raise item.row.error(
                    f"a true interval ends at {end_s:g} s, but {item.video} lasts {item.duration_s:g} s",
                    "shorten the interval or correct the duration",
                )


def _rows(path: Path) -> Iterator[Row]:
    yield from load_lines(path) if path.suffix == ".jsonl" else load_list(path)


def _marked(items: list[Item]) -> tuple[Item, ...]:
    seen: set[str] = set()
    marked = []
    for item in items:
        marked.append(replace(item, surplus=True) if item.name in seen else item)
        seen.add(item.name)
    return tuple(marked)


def _name(row: Row) -> str:
    return f"{row['task'].text}/{row['source'].text}/{row['idx'].label}"


def _answer(row: Row) -> str | None:
    return row["a"].text if row.has("a") else None


def _item(row: Row, answered: bool) -> Item:
    task = row["task"].text
    if task not in TASKS:
        raise row["task"].error(f"unknown task {shown(task)}", f"one of {' '.join(TASKS)}")
    if answered and "a" not in row.object:
        raise row.error("no key 'a'", "give a file with answers, null for a question without one")
    truth = () if task in CHOSEN[:3] else _truth(row["tgt"], task)
    options = tuple(_option(part) for part in row["o"].parts) if task in CHOSEN else ()
    return Item(
        row=row,
        name=_name(row),
        task=task,
        source=row["source"].text,
        video=row["video"].text,
        duration_s=row["duration"].number if row.has("duration") else None,
        question=row["q"].text if row.has("q") else "",
        answer=_answer(row) if answered else None,
        truth=truth,
        options=options,
        option_texts=tuple(_option_text(option) for option in row["o"].items) if options else (),
        right=_right(row, len(options)) if task in CHOSEN else None,
        captions=_captions(row, len(truth)) if task in DESCRIBED else (),
    )


def _truth(times: Row, task: str) -> tuple[Span, ...]:
    if task in ONE_EVENT:
        return (times.span,)
    judges = times.parts
    by_judge = task == "vhd" and any(isinstance(entry, list) for judge in judges for entry in judge.items)
    spans = tuple(span for judge in judges for span in judge.spans) if by_judge else times.spans
    if not spans:
        raise times.error("no true interval")
    return spans


def _option(option: Row) -> Option:
    return option.text if isinstance(option.value, str) else option.span


def _option_text(option: object) -> str:
    return option if isinstance(option, str) else " - ".join(map(str, option))  # type: ignore[call-overload]


def _right(row: Row, options: int) -> int:
    if not 1 <= options <= _MOST_OPTIONS:
        raise row["o"].error(f"{options} options", f"give between 1 and {_MOST_OPTIONS}")
    right = row["p"].integer
    if not 0 <= right < options:
        raise row["p"].error(f"{right} is the index of none of {options} options")
    return right


def _captions(row: Row, events: int) -> tuple[str, ...]:
    captions = tuple(part.text for part in row["g"].parts)
    if len(captions) != events:
        raise row["g"].error(f"{len(captions)} captions for {events} true intervals")
    return captions
