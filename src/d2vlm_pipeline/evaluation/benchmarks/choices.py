"""Questions with options, answered in free text: what mvbench and video-mme have in common."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.files import Row
from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Query, Status
from d2vlm_pipeline.evaluation.contributions import Contribution, ratio


@dataclass(frozen=True)
class Item:
    """A question with its true option and what was answered; `answer` is None where nothing was.

    Attributes:
        truth: the true option: its letter, or its letter in brackets and its words.
        options: words of all options, where the files hold them.
        groups: names of what it belongs to, in the benchmark's own order.
    """

    id: str
    video: str
    truth: str
    answer: str | None
    question: str = ""
    options: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What the files say: items in order, and what is wrong with them as sets."""

    items: tuple[Item, ...]
    duplicates: tuple[Row, ...] = ()
    unknown: tuple[Row, ...] = ()

    def refuse_surplus(self) -> None:
        """Refuse predictions beyond the first of a question, and those of no question.

        Raises:
            UserError: there is one; names its place.
        """
        if self.duplicates:
            raise self.duplicates[0].error("a prediction for this question came before", "keep one of them")
        if self.unknown:
            raise self.unknown[0].error("the ground truth has no such question", "score it on its own truth")


def matched(said: Sequence[tuple[Row, Item]], truth: Sequence[Item] | None) -> Answers:
    """Answers to the questions of the truth; where there is none, to those that were answered.

    Raises:
        UserError: two questions of the truth with one id.
    """
    if truth is None:
        first = {item.id: item for _, item in reversed(said)}
        asked = list(dict.fromkeys(item.id for _, item in said))
        truth = [replace(first[name], answer=None) for name in asked]
    items = {item.id: item for item in truth}
    if len(items) < len(truth):
        raise UserError(f"the ground truth asks {_repeated(truth)} twice; keep one of them")
    duplicates, unknown, answered = [], [], set()
    for row, item in said:
        if item.id not in items:
            unknown.append(row)
        elif item.id in answered:
            duplicates.append(row)
        else:
            answered.add(item.id)
            items[item.id] = replace(items[item.id], answer=item.answer)
    return Answers(tuple(items.values()), tuple(duplicates), tuple(unknown))


def _repeated(truth: Sequence[Item]) -> str:
    names = [item.id for item in truth]
    return next(name for name in names if names.count(name) > 1)


@dataclass(frozen=True)
class Judged:
    """An item under a protocol: whether its answer could be read, is right, and is counted at all."""

    item: Item
    is_read: bool
    is_right: bool
    is_counted: bool = True


def accuracy(path: Sequence[str], judged: Iterable[Judged]) -> Measure:
    """Share of the counted that are right."""
    counted = [one for one in judged if one.is_counted]
    stats_R2 = np.array([[float(one.is_right), 1.0] for one in counted]).reshape(-1, 2)
    clips = tuple(one.item.video for one in counted)
    unread = sum(not one.is_read for one in counted)
    ids = tuple(one.item.id for one in counted)
    return Measure(tuple(path), ids, Contribution(clips, stats_R2, ratio, unread))


def percent_right(judged: Iterable[Judged], decimals: int | None) -> float | None:
    """Percent of the counted that are right, rounded where decimals are given; None where none is counted."""
    counted = [one for one in judged if one.is_counted]
    if not counted:
        return None
    percent = 100.0 * sum(one.is_right for one in counted) / len(counted)
    return percent if decimals is None else round(percent, decimals)


def counts(answers: Answers, judged: Sequence[Judged]) -> Counts:
    """Denominators of a set of items."""
    statuses = [status(one) for one in judged]
    return Counts(
        queries=len(judged),
        parsed=statuses.count("parsed"),
        unparsed=statuses.count("unparsed"),
        missing=statuses.count("missing"),
        duplicates=len(answers.duplicates),
        unknown=len(answers.unknown),
    )


def status(one: Judged) -> Status:
    """Whether the answer is there and could be read."""
    if one.item.answer is None:
        return "missing"
    return "parsed" if one.is_read else "unparsed"


def queries(judged: Iterable[Judged], group: Callable[[Item], str]) -> tuple[Query, ...]:
    """Items as the report wants them."""
    return tuple(
        Query(
            id=one.item.id,
            video=one.item.video,
            status=status(one),
            question=one.item.question,
            answer=one.item.answer or "",
            group=group(one.item),
        )
        for one in judged
    )


def json_files(path: Path, suffixes: tuple[str, ...] = (".json",)) -> list[Path]:
    """The file itself, or the files of a folder by name.

    Raises:
        UserError: a folder without any.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in suffixes)
    if not found:
        raise UserError(f"{path}: the folder has no {' or '.join(suffixes)} file; name the one that has")
    return found
