"""The node that scores every system, where not every system can answer."""

from pathlib import Path

import numpy as np

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, write_store
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import AnswerConfig, guess_answers, score_answers
from d2vlm_pipeline.video import VideoRow
from model import tiny


def test_a_baseline_that_can_answer_none_of_the_tasks_is_left_out(tmp_path: Path) -> None:
    samples = [
        tiny.sample("tvg", id=split, video=f"{split}.mp4", split=split) for split in ("train", "test-iid")
    ]
    rows = [
        VideoRow(video=s.video, path=s.video, status="ok", digest="d" * 64, duration_s=4.0) for s in samples
    ]
    features = np.zeros((8, 4, 6), dtype=np.float16)
    write_store(tmp_path, [ClipFeatures("a", "p", "e", features, tiny.clock(8))])
    answering, evaluation = AnswerConfig(), EvaluationConfig(tasks=("tvg",), resamples=2)
    guesses = guess_answers(samples, rows, answering, evaluation)
    assert [] in guesses, "tiling has nothing to say of a single moment"
    machines = ComputeConfig(), RaySettings()
    found = score_answers(
        samples, rows, FeatureStore(tmp_path), answering, evaluation, *machines, *guesses
    )
    assert set(found["scores"]) == {"chance", "prior", "whole_video"}
