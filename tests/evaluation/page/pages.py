"""A small invented run and its report."""

import json
from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation import EvaluationConfig, score_system
from d2vlm_pipeline.evaluation.page import Page, RunMaterial, judge_answers, run_page
from d2vlm_pipeline.evaluation.page.films import film
from d2vlm_pipeline.evaluation.scores import assemble_metrics
from d2vlm_pipeline.evaluation.studies import Studies
from d2vlm_pipeline.timeline import Prediction, Sample
from evaluation.scoring_records import demo_world, one_hot, places, predict, truth

CONFIG = EvaluationConfig(resamples=20)
HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>\"'&"


def answers(samples: Sequence[Sample], system: str, seed: int) -> list[Prediction]:
    """Right, unreadable and misplaced answers by turns."""
    rng = np.random.default_rng(seed)
    said = []
    for sample in samples:
        turn = rng.random()
        if turn < 0.5:
            one = truth(sample)
        elif turn < 0.6:
            one = predict(sample, f"no form at all {HOSTILE}")
        else:
            start = float(rng.uniform(0, 10))
            one = places(sample, [(start, start + 4)])
        said.append(one.model_copy(update={"system": system}))
    return said


def material(clips: int = 10, hostile: bool = False, studies: Studies | None = None) -> RunMaterial:
    samples, durations = demo_world(clips)
    if hostile:
        samples = [s.model_copy(update={"question": f"{HOSTILE} {s.question}"}) for s in samples]
    predictions = {name: answers(samples, name, seed) for seed, name in enumerate(("prior", "sft", "fpo"))}
    scores = {name: score_system(samples, said, CONFIG, one_hot) for name, said in predictions.items()}
    return RunMaterial(
        samples=samples,
        predictions=predictions,
        durations=durations,
        scores=json.loads(assemble_metrics(scores, {}))["scores"],
        data={"samples": "5" * 64},
        config=CONFIG,
        system="fpo",
        models=("sft", "fpo"),
        studies=studies,
        embed=one_hot,
    )


def page(of: RunMaterial | None = None, count: int = 60) -> Page:
    of = of or material()
    judged, chosen = judge_answers(of, count)
    green = np.zeros((6, 8, 8, 3), dtype=np.uint8)
    green[..., 1] = 200
    films = {video: film(green, 0.25) for video in sorted(of.durations)[1:]}
    return run_page(of, judged, chosen, films, {sorted(of.durations)[0]: "the file is gone"})
