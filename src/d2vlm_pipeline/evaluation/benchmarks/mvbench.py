"""MVBench: one folder of answers, a JSON file for each task, every answer beside its true option.

A prediction is `{"idx": 0, "pred": "(A)", "gt": "(A) the box"}`. Ground truth, where given, is a folder of
such files or of MVBench's own annotations, `{"video", "question", "candidates", "answer"}` by idx.
"""

from collections.abc import Iterator
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
from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_list
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Files, Protocol, Scored, Trap, Tree
from d2vlm_pipeline.evaluation.reading import CAREFUL_LETTERS, halves, lettered
from d2vlm_pipeline.evaluation.reading.multiple_choice import first_word, first_words_agree

TOTAL = "Total"
_TASKS = 20
_QUESTIONS = 4000
_MOST_OPTIONS = 26  # how many a question has stands nowhere


@dataclass(frozen=True)
class MVBenchRules:
    """How an answer is judged.

    Attributes:
        first_word: only its first word may name the option, as in MVBench's own script; else all of it may.
        pieces_agree: a first word that is part of the true option's, or holds it, is right: so is a blank.
        refuses_surplus: whether predictions given twice, or of no question, are an error.
        decimals: that figures are rounded to; None for none.
    """

    first_word: bool = True
    pieces_agree: bool = False
    refuses_surplus: bool = True
    decimals: int | None = None


def read(files: Files) -> Answers:
    """Answers by task; without ground truth the questions are those that were answered."""
    said = [
        (row, _item(path.stem, row, None if row["pred"].value is None else row["pred"].text))
        for path in json_files(files.predictions)
        for row in load_list(path)
    ]
    truth = [item for path in files.truths for file in json_files(path) for item in _truth_items(file)]
    return matched(said, truth if files.truths else None)


def score(answers: Answers, rules: MVBenchRules) -> Scored:
    """Accuracy of each task and, over all questions, `Total`; percent."""
    if rules.refuses_surplus:
        answers.refuse_surplus()
    judged = [_judged(item, rules) for item in answers.items]
    tasks: dict[str, list[Judged]] = {}
    for one in judged:
        tasks.setdefault(one.item.groups[0], []).append(one)
    parts = {**{task: tasks[task] for task in sorted(tasks)}, TOTAL: judged}
    metrics: Tree = {name: percent_right(part, rules.decimals) for name, part in parts.items()}
    return Scored(
        metrics=metrics,
        measures=tuple(accuracy((name,), part) for name, part in parts.items()),
        queries=queries(judged, lambda item: item.groups[0]),
        counts=counts(answers, judged),
        headline=((TOTAL,), *((task,) for task in sorted(tasks))),
        notes=tuple(_notes(answers, len(tasks))),
    )


def _notes(answers: Answers, tasks: int) -> Iterator[str]:
    questions = len(answers.items)
    if (tasks, questions) != (_TASKS, _QUESTIONS):
        yield f"MVBench has {_QUESTIONS} questions in {_TASKS} tasks, these files {questions} in {tasks}"
    if all(item.video == item.id for item in answers.items):
        yield "the files name no videos: intervals draw questions instead"


def _judged(item: Item, rules: MVBenchRules) -> Judged:
    if item.answer is None:
        return Judged(item, is_read=False, is_right=False)
    if rules.pieces_agree:
        said = first_word(item.answer).replace(".", "")
        return Judged(item, bool(said.strip()), first_words_agree(item.answer, item.truth))
    option = _option(first_word(item.answer) if rules.first_word else item.answer)
    return Judged(item, option is not None, option is not None and option == _option(item.truth))


def _option(text: str) -> int | None:
    return lettered(CAREFUL_LETTERS, halves(text)[1], _MOST_OPTIONS)


def _item(task: str, row: Row, answer: str | None) -> Item:
    name = f"{task}/{row['idx'].label}"
    video = row["video"].text if row.has("video") else name
    truth = row["gt"] if row.has("gt") else row["A"]
    if _option(truth.text) is None:
        raise truth.error("expected the true option with its letter, as '(A) the box'")
    return Item(name, video, truth.text, answer, groups=(task,))


def _truth_items(path: Path) -> list[Item]:
    rows = enumerate(load_list(path))
    return [_truth_item(path.stem, number, row) for number, row in rows]


def _truth_item(task: str, number: int, row: Row) -> Item:
    if not row.has("candidates"):
        return _item(task, row, None)
    options, answer = [part.text for part in row["candidates"].parts], row["answer"]
    if answer.text not in options:
        raise answer.error("the answer is none of the candidates")
    truth = f"({chr(ord('A') + options.index(answer.text))}) {answer.text}"
    return Item(f"{task}/{number}", row["video"].text, truth, None, row["question"].text, groups=(task,))


BENCHMARK: Benchmark[Answers, MVBenchRules] = Benchmark(
    name="mvbench",
    summary="questions with options in 20 tasks: a folder of JSON files by task",
    read=read,
    score=score,
    protocols={
        "strict": Protocol(MVBenchRules(), "the option whose letter the first word names; else wrong"),
        "lenient": Protocol(MVBenchRules(first_word=False), "the option that any words of an answer name"),
        "official": Protocol(
            MVBenchRules(pieces_agree=True, refuses_surplus=False, decimals=2),
            "the D²VLM authors' script accepts a first word that is part of the true option's or holds it",
        ),
    },
    traps=(
        Trap(
            MVBenchRules(pieces_agree=True),
            "a blank answer is part of every option, so it counts as right",
            "official",
            2,
        ),
    ),
    truth="carried",
)
