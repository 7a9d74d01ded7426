"""How answers hold up when frames are lost or noisy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.evaluation.studies.asking import Ask, ask_changed
from d2vlm_pipeline.evaluation.studies.changes import Change, Dropped, Noisy
from d2vlm_pipeline.evaluation.studies.config import RobustnessConfig
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure, mean_point
from d2vlm_pipeline.evaluation.studies.judging import rightness
from d2vlm_pipeline.evaluation.studies.records import Curve, Figure, Study
from d2vlm_pipeline.timeline import Prediction, Sample

_Spoil = Callable[[float, str], Change]
"""Share of frames and video to the change."""


def study_robustness(
    ask: Ask,
    source: ClipSource,
    answered: Sequence[tuple[Sample, Prediction]],
    config: RobustnessConfig,
    hit_iou: float,
    seed: int,
    drawing: Drawing,
) -> Study:
    """Rightness against the share of frames that are lost, and that are noisy."""
    samples = [sample for sample, _ in answered]
    clips = [sample.video for sample in samples]
    clean_R = _rightness(samples, [answer for _, answer in answered], hit_iou)
    spoils: dict[str, tuple[str, _Spoil]] = {
        "dropped": ("lost", lambda share, video: Dropped(share, derive_seed(seed, "dropped", video))),
        "noisy": (
            "noisy",
            lambda share, video: Noisy(share, config.noise_scale, derive_seed(seed, "noisy", video)),
        ),
    }
    figures = {"clean": mean_figure("right answers, clean", clips, clean_R, drawing)}
    curves = {}
    for name, (words, spoil) in spoils.items():
        spoiled = {
            share: _rightness(
                samples,
                ask_changed(ask, source, [(sample, spoil(share, sample.video)) for sample in samples]),
                hit_iou,
            )
            for share in config.shares
        }
        figures |= _losses(name, words, clips, clean_R, spoiled, drawing)
        if clips:
            curves[name] = _curve(words, clips, {0.0: clean_R} | spoiled, drawing)
    return Study(
        title="Lost and noisy frames",
        definition=(
            f"Answers of {', '.join(config.tasks)} are right by their option; without options by denying "
            f"an absent event, or by the F1 of their intervals at IoU {hit_iou:g}. A seeded share of each "
            "clip's frames is lost (the others keep their times), or is under Gaussian noise of "
            f"{config.noise_scale:g} times the standard deviation of each feature channel over the clip."
        ),
        headline=f"dropped_loss@{config.headline_share:g}",
        clips=len(set(clips)),
        figures=figures,
        curves=curves,
    )


def _rightness(samples: Sequence[Sample], answers: Sequence[Prediction], hit_iou: float) -> Floats:
    return np.array([rightness(Pair(*both), hit_iou) for both in zip(samples, answers, strict=True)])


def _losses(
    name: str,
    words: str,
    clips: Sequence[str],
    clean_R: Floats,
    spoiled: dict[float, Floats],
    drawing: Drawing,
) -> dict[str, Figure]:
    return {
        f"{name}_loss@{share:g}": mean_figure(
            f"loss with {100 * share:g} % of frames {words}", clips, clean_R - right_R, drawing, "points"
        )
        for share, right_R in spoiled.items()
    }


def _curve(words: str, clips: Sequence[str], right: dict[float, Floats], drawing: Drawing) -> Curve:
    points = [
        mean_point(round(100.0 * share, 4), clips, right_R, drawing) for share, right_R in right.items()
    ]
    return Curve(
        title=f"frames {words}",
        x="share of frames (%)",
        y="right answers (%)",
        panel="lost and noisy frames",
        points=tuple(points),
    )
