"""What an answer costs: seconds, tokens, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.asking import Ask
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, ratio_figure
from d2vlm_pipeline.evaluation.studies.records import Figure, Study, Unit
from d2vlm_pipeline.timeline import Prediction, Question, Sample

_MEGABYTE = 1e6


class Peak(Protocol):
    """Peak memory from `start` to `stop`."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> int:
        """Peak in bytes."""
        ...


@dataclass(frozen=True)
class TokenCounts:
    """Lengths, in tokens, of what a model reads and writes."""

    frames: Callable[[str], int]
    question: Callable[[Question], int]
    answer: Callable[[Prediction], int]


def study_cost(
    ask: Ask,
    source: ClipSource,
    samples: Sequence[Sample],
    tokens: TokenCounts,
    peak: Peak,
    drawing: Drawing,
) -> Study:
    """Questions asked clip by clip, all of one clip together, as a server would."""
    by_clip: dict[str, list[Question]] = {}
    for sample in samples:
        by_clip.setdefault(sample.video, []).append(Question.of_sample(sample))
    columns = ("answers", "cpu", "wall", "frames", "question", "answer")
    rows = []
    peak.start()
    for video, questions in track(by_clip.items(), "time answers", total=len(by_clip), unit="clip"):
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        answers = ask(source, questions)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        asked = sum(tokens.question(question) for question in questions)
        said = sum(tokens.answer(answer) for answer in answers)
        rows.append((len(answers), cpu_s, wall_s, tokens.frames(video), asked, said))
    peak_bytes = peak.stop()
    sums = dict(zip(columns, np.array(rows, dtype=np.float64).reshape(-1, len(columns)).T, strict=True))
    return Study(
        title="Cost of an answer",
        definition=(
            "Seconds and tokens per answer, the questions of one clip asked together from stored features; a "
            "clip's frames are read once and shared by its questions. CPU seconds are those of all threads. "
            "Memory: highest resident size of the process, model included, while it answered."
        ),
        headline="cpu",
        clips=len(by_clip),
        figures=_figures(list(by_clip), sums, peak_bytes, drawing),
    )


def _figures(
    clips: Sequence[str], sums: dict[str, np.ndarray], peak_bytes: int, drawing: Drawing
) -> dict[str, Figure]:
    def each(title: str, column: str, unit: Unit = "tokens") -> Figure:
        return ratio_figure(title, clips, sums[column], sums["answers"], drawing, unit)

    answers = round(float(sums["answers"].sum()))
    return {
        "cpu": each("CPU seconds per answer", "cpu", "seconds"),
        "wall": each("seconds per answer", "wall", "seconds"),
        "frame_tokens": each("frame tokens read, per answer", "frames"),
        "question_tokens": each("question tokens read, per answer", "question"),
        "answer_tokens": each("tokens written, per answer", "answer"),
        "memory": Figure(
            title="peak memory",
            value=round(peak_bytes / _MEGABYTE, 1) if answers else None,
            n=answers,
            unit="megabytes",
        ),
    }
