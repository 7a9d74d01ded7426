"""METEOR 1.5 by the program of its authors, one Java process for all captions of a run."""

import atexit
import threading
from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType
from typing import Self

import numpy as np

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.captions.answering import AnsweringProgram, NoAnswerError
from d2vlm_pipeline.evaluation.captions.java import find_jar, find_java, meteor_unavailable
from d2vlm_pipeline.evaluation.captions.ngrams import group_numbers
from d2vlm_pipeline.evaluation.overlap import Floats

_BETWEEN = " ||| "
_ATTEMPTS = 2
# What METEOR says of a pair: words of the caption and of the reference first, and at the end chunks of words
# matched in order, and how many words match on either side.
_NUMBERS = 23
_CHUNKS = 20


class Meteor:
    """METEOR as the COCO tools ask for it: English, `-norm`; a context manager, and a cache while it lives.

    The program starts with the first question (some 8 s of CPU, mostly its paraphrase table) and ends with
    `close`. A program that dies or keeps silent is started again once.

    Args:
        timeout_s: how long one answer may take.
        start_timeout_s: how long the first one may.
        command: the program; METEOR's as found here where None.
    """

    def __init__(
        self, timeout_s: float = 60.0, start_timeout_s: float = 300.0, command: Sequence[str] | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._command = command
        self._program: AnsweringProgram | None = None
        self._lock = threading.Lock()
        self._statistics: dict[str, tuple[float, ...]] = {}
        self._scores: dict[tuple[float, ...], float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program; the next question would start another."""
        with self._lock:
            if self._program is not None:
                self._program.stop()
                self._program = None

    def score(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str],
        groups: Sequence[int] | None = None,
    ) -> tuple[Floats, Floats]:
        """METEOR of each item [N], and of each group [G], whose statistics METEOR adds up before it scores.

        Of several references the best counts. A group without items is 0.

        Args:
            references: tokenised references of each item, at least one.
            candidates: tokenised caption of each item.
            groups: group of each item, numbered from 0; all in one where None.

        Raises:
            UserError: METEOR cannot run here, or the program failed twice.
        """
        group_N, group_count = group_numbers(groups, len(candidates))
        questions = [_question(refs, said) for refs, said in zip(references, candidates, strict=True)]
        with self._lock:
            found_NS = self._of_questions(questions)
            sums_GS = np.zeros((group_count, found_NS.shape[1]))
            np.add.at(sums_GS, group_N, _as_added(found_NS))
            scores = self._of_statistics([*map(tuple, found_NS.tolist()), *map(tuple, sums_GS.tolist())])
        return scores[: len(questions)], scores[len(questions) :]

    def _of_questions(self, questions: Sequence[str]) -> Floats:
        new = [question for question in dict.fromkeys(questions) if question not in self._statistics]
        for question, (numbers,) in zip(new, self._answers(new, lines=1, numbers=_NUMBERS), strict=True):
            self._statistics[question] = numbers
        return np.array([self._statistics[question] for question in questions]).reshape(-1, _NUMBERS)

    def _of_statistics(self, statistics: Sequence[tuple[float, ...]]) -> Floats:
        new = [row for row in dict.fromkeys(statistics) if any(row) and row not in self._scores]
        questions = [f"EVAL{_BETWEEN}{' '.join(map(repr, row))}" for row in new]
        # It answers with the score of each and of all together, which of one are the same.
        for row, ((score,), _) in zip(new, self._answers(questions, lines=2, numbers=1), strict=True):
            self._scores[row] = score
        return np.array([self._scores.get(row, 0.0) for row in statistics])

    def _answers(self, questions: Sequence[str], lines: int, numbers: int) -> list[list[tuple[float, ...]]]:
        """What the program says of each question: so many lines of so many numbers."""
        answers: list[list[tuple[float, ...]]] = []
        failures = 0
        while len(answers) < len(questions):
            try:
                self._ask_on(questions, answers, lines, numbers)
            except NoAnswerError as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise UserError(_failed(error, questions[len(answers)])) from None
        return answers

    def _ask_on(
        self, questions: Sequence[str], answers: list[list[tuple[float, ...]]], lines: int, numbers: int
    ) -> None:
        """Ask what has no answer yet. What interrupts this ends the program: its answers would come late."""
        try:
            program = self._running()
            program.ask(questions[len(answers) :])
            while len(answers) < len(questions):
                answers.append([_read(program.answer(self._timeout_s), numbers) for _ in range(lines)])
        finally:
            if len(answers) < len(questions):
                self._drop()

    def _running(self) -> AnsweringProgram:
        if self._program is None:
            self._program = AnsweringProgram(self._command or meteor_command())
            # Its answer says that the tables are read, which takes far longer than any other answer.
            self._program.ask([_question(["a"], "a")])
            self._program.answer(self._start_timeout_s)
        return self._program

    def _drop(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None


def meteor_command() -> list[str]:
    """How METEOR is called.

    Raises:
        UserError: it cannot run here.
    """
    if reason := meteor_unavailable():
        raise UserError(reason)
    # UTF-8 and decimal points whatever the locale says, and no warning of Java's own among the answers.
    options = ["-Xmx2G", "-XX:+DisplayVMOutputToStderr"]
    options += ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Duser.language=en"]
    return [str(find_java()), *options, "-jar", str(find_jar()), "-", "-", "-stdio", "-l", "en", "-norm"]


@lru_cache(maxsize=1)
def shared_meteor() -> Meteor:
    """The METEOR of this process: one program and one cache for whatever is scored; ends with the process."""
    meteor = Meteor()
    atexit.register(meteor.close)
    return meteor


def _as_added(found_NS: Floats) -> Floats:
    """Statistics as METEOR adds them up: a caption that matches whole and in order has no chunk."""
    words, chunks, matched = found_NS[:, :2], found_NS[:, _CHUNKS], found_NS[:, _CHUNKS + 1 :]
    perfect = (words == matched).all(axis=1) & (chunks == 1)
    added_NS = found_NS.copy()
    added_NS[perfect, _CHUNKS] = 0.0
    return added_NS


def _question(references: Sequence[str], candidate: str) -> str:
    return _BETWEEN.join(["SCORE", *map(_one_line, references), _one_line(candidate)])


def _one_line(text: str) -> str:
    """A text without what ends lines or parts texts; two spaces are one, as in the tools."""
    return " ".join(text.splitlines()).replace("|||", "").replace("  ", " ")


def _read(line: str, numbers: int) -> tuple[float, ...]:
    try:
        found = tuple(float(number) for number in line.split())
    except ValueError:
        found = ()
    if len(found) != numbers:
        raise NoAnswerError(f"it said {line[:60]!r}")
    return found


def _failed(error: NoAnswerError, question: str) -> str:
    asked = question if len(question) <= 100 else question[:99] + "…"
    return f"METEOR failed twice ({error}) at {asked!r}; shorten the caption, or free memory for Java (2 GB)"
