"""Does the answer hang on the evidence that it names?

Of every question whose answer names evidence, the clip is shown twice more: with the frames of that evidence
masked, and with as many other frames masked, in runs of the same lengths. A model that reads its answer off
its evidence changes it in the first case and keeps it in the second.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.asking import Ask, ask_changed
from d2vlm_pipeline.evaluation.studies.changes import FrameRun, Masked
from d2vlm_pipeline.evaluation.studies.config import FaithfulnessConfig
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure
from d2vlm_pipeline.evaluation.studies.judging import says_the_same
from d2vlm_pipeline.evaluation.studies.records import Figure, Study
from d2vlm_pipeline.timeline import Prediction, Sample, TimeBase

_PLACINGS = 200


class Case(NamedTuple):
    """A question, the answer to it, and the two ways of masking its clip."""

    sample: Sample
    answer: Prediction
    evidence: Masked
    elsewhere: Masked


def study_faithfulness(
    ask: Ask,
    source: ClipSource,
    answered: Sequence[tuple[Sample, Prediction]],
    config: FaithfulnessConfig,
    seed: int,
    drawing: Drawing,
) -> Study:
    """How much more often answers change when their evidence is masked than when other frames are."""
    cases, unnamed, crowded = masking_cases(source, answered, seed)
    figures = masking_figures(ask, source, cases, config.required_points, drawing)
    return Study(
        title="Faithfulness",
        definition=(
            "Frames of every interval that the response names, in either half, have their features set to "
            "zero; beside it as many frames elsewhere, in runs of the same lengths at seeded places that do "
            "not overlap the evidence. An answer has changed when it chooses another option or, without "
            "options, when its words differ; times never count. The figure is the paired difference of the "
            "shares of changed answers."
        ),
        headline="difference",
        clips=len({sample.video for sample, _ in answered}),
        figures=figures,
        notes=(
            f"{len(cases)} of {len(answered)} answers: {unnamed} name no evidence, {crowded} so much of it "
            "that there is no room for as many other frames.",
        ),
    )


def masking_cases(
    source: ClipSource, answered: Sequence[tuple[Sample, Prediction]], seed: int
) -> tuple[list[Case], int, int]:
    """Cases; how many answers name no evidence; how many so much that as much does not fit beside it."""
    cases, unnamed, crowded = [], 0, 0
    for sample, answer in answered:
        _, timebase = source.clip(sample.video)
        runs = evidence_runs(answer, timebase)
        others = other_runs(runs, len(timebase), derive_seed(seed, "masked elsewhere", sample.id))
        if not runs:
            unnamed += 1
        elif others is None:
            crowded += 1
        else:
            cases.append(Case(sample, answer, Masked(runs), Masked(others)))
    return cases, unnamed, crowded


def evidence_runs(answer: Prediction, timebase: TimeBase) -> tuple[FrameRun, ...]:
    """Frames of all intervals of both halves, as disjoint runs that do not touch."""
    named = [*answer.evidence, *answer.answer_intervals]
    runs: list[FrameRun] = []
    for first, last in sorted(timebase.frames_of(guess.interval) for guess in named):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return tuple(runs)


def other_runs(runs: Sequence[FrameRun], frames: int, seed: int) -> tuple[FrameRun, ...] | None:
    """Runs of the same lengths at drawn places, overlapping neither these nor one another; None: no room."""
    draw = random.Random(seed)
    lengths = sorted((last - first + 1 for first, last in runs), reverse=True)
    for _ in range(_PLACINGS):
        taken = np.zeros(frames, dtype=bool)
        for first, last in runs:
            taken[first : last + 1] = True
        placed = _place(lengths, taken, draw)
        if placed is not None:
            return tuple(sorted(placed))
    return None


def _place(lengths: Iterable[int], taken: np.ndarray, draw: random.Random) -> list[FrameRun] | None:
    """The longest first, each at one of the places where it fits; None as soon as one does not."""
    placed = []
    for length in lengths:
        free = [at for at in range(len(taken) - length + 1) if not taken[at : at + length].any()]
        if not free:
            return None
        at = draw.choice(free)
        taken[at : at + length] = True
        placed.append((at, at + length - 1))
    return placed


def masking_figures(
    ask: Ask, source: ClipSource, cases: Sequence[Case], required_points: float, drawing: Drawing
) -> dict[str, Figure]:
    """Shares of changed answers, and their paired difference: of all, where there are options, by task."""
    without = ask_changed(ask, source, [(case.sample, case.evidence) for case in cases])
    control = ask_changed(ask, source, [(case.sample, case.elsewhere) for case in cases])
    changed_R, other_R = _changed(cases, without), _changed(cases, control)
    clips = np.array([case.sample.video for case in cases])

    def difference(title: str, rows: Sequence[int], required: float | None = None) -> Figure:
        more_R = (changed_R - other_R)[list(rows)]
        return mean_figure(title, clips[list(rows)].tolist(), more_R, drawing, "points", required)

    everything = range(len(cases))
    figures = {
        "difference": difference(
            "answers changed by masking the evidence rather than other frames", everything, required_points
        ),
        "evidence_masked": mean_figure(
            "answers changed by masking their evidence", clips.tolist(), changed_R, drawing
        ),
        "others_masked": mean_figure(
            "answers changed by masking as many other frames", clips.tolist(), other_R, drawing
        ),
        # A model that finds events but chooses without looking would be carried by its groundings.
        "difference_options": difference(
            "the same, of questions with options",
            [row for row in everything if cases[row].sample.options is not None],
            required_points,
        ),
    }
    for task in sorted({case.sample.task for case in cases}):
        rows = [row for row in everything if cases[row].sample.task == task]
        figures[f"difference_{task}"] = difference(f"difference, {task}", rows)
    return figures


def _changed(cases: Sequence[Case], others: Sequence[Prediction]) -> Floats:
    """1 where the answer to a case has changed, [R]."""
    changed = [
        not says_the_same(case.sample, case.answer, other) for case, other in zip(cases, others, strict=True)
    ]
    return np.array(changed, dtype=np.float64)
