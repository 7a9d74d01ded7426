"""Nodes around preferences: pairs, their audit, hard negatives, distance to a model's own mistakes."""

from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, build_encoder, write_store
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation.nodes import AnswerConfig, compare_mistakes, guess_answers
from d2vlm_pipeline.pipelines.fpo import nodes as fpo
from d2vlm_pipeline.pipelines.preferences.nodes import audit_pairs, gate_pairs, synthesize
from d2vlm_pipeline.preferences import (
    AuditConfig,
    AuditLimits,
    HardNegativeConfig,
    Limit,
    PreferenceConfig,
    check_pair,
)
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from d2vlm_pipeline.video import VideoRow
from model import tiny

FRAMES = 8
MACHINES = (ComputeConfig(), RaySettings())
VIDEOS = [f"{k}.mp4" for k in range(12)]


@pytest.fixture
def samples() -> list[Sample]:
    return [
        tiny.sample(form, id=f"{video}/{form}/{split}", video=video, split=split)
        for video in VIDEOS
        for form in ("tvg", "dvc", "tem")
        for split in ("train", "test-iid")
    ]


@pytest.fixture
def rows() -> list[VideoRow]:
    length_s = tiny.clock(FRAMES).duration_s
    return [
        VideoRow(video=video, path=video, status="ok", digest=video, duration_s=length_s) for video in VIDEOS
    ]


def test_pairs_are_made_audited_and_compared(samples: list[Sample], rows: list[VideoRow]) -> None:
    pairs, stats = synthesize(samples, rows, PreferenceConfig(min_shift_s=0.25), *MACHINES)
    assert stats["pairs"] == len(pairs) > 0 and stats["checker"]["held_back"] == 0
    by_id = {sample.id: sample for sample in samples}
    assert {by_id[pair.sample_id].split for pair in pairs} == {"train"}
    record, picture = audit_pairs(
        samples, rows, pairs, AuditConfig(least_pairs=10, resamples=5), *MACHINES
    )
    assert record["pairs"] == len(pairs) and picture.startswith(b"\x89PNG")
    answers, *_ = guess_answers(samples, rows, AnswerConfig(), EvaluationConfig(tasks=("tvg", "dvc")))
    assert isinstance(answers, list)
    audit = AuditConfig(least_mistakes=1)
    distance, picture = compare_mistakes(samples, pairs, answers, audit, AnswerConfig())
    assert isinstance(distance, dict) and isinstance(picture, bytes)
    assert distance["tasks"] and 0 <= distance["total_variation"] <= 1 and picture.startswith(b"\x89PNG")


def test_an_audit_beyond_its_limits_lets_no_pair_through(samples: list[Sample], rows: list[VideoRow]) -> None:
    pairs, _ = synthesize(samples, rows, PreferenceConfig(min_shift_s=0.25), *MACHINES)
    record = {"counts": {"operator": {"shift": 9, "add": 1}}}
    checks, passed = gate_pairs(pairs, samples, rows, record, AuditConfig(), *MACHINES)
    assert passed == pairs and len(checks) == len(pairs)
    strict = AuditConfig(limits=AuditLimits(largest_share=Limit(stop=0.5)))
    with pytest.raises(UserError, match=r"share of shift is 0\.9, above 0\.5"):
        gate_pairs(pairs, samples, rows, record, strict, *MACHINES)


def mined(samples: list[Sample], rows: list[VideoRow], folder: Path, config: HardNegativeConfig):
    sampling, contract = SamplingPolicy(), tiny.contract()
    encoder, digest = contract.encoder, build_encoder(contract.encoder).digest
    features = tiny.features(FRAMES, 0).numpy().astype(np.float16)
    clock = tiny.clock(FRAMES).model_copy(update={"policy_digest": sampling.digest})
    clips = [ClipFeatures(video, sampling.digest, digest, features, clock) for video in sorted(VIDEOS)]
    write_store(folder, clips)
    model = ModelBundle(tiny.model(), tiny.tokenizer(), contract)
    return fpo.sample_hard_negatives(
        model, samples, FeatureStore(folder), rows, sampling, encoder, config, ComputeConfig(threads=1)
    )


def test_hard_negatives_join_the_pairs_where_asked_for(
    samples: list[Sample], rows: list[VideoRow], tmp_path: Path
) -> None:
    config = HardNegativeConfig(draws=3, most_samples=18, most_score=0.6, max_new_tokens=24)
    pairs, stats = mined(samples, rows, tmp_path, config)
    by_id = {sample.id: sample for sample in samples}
    assert stats["answers"] == 3 * 18 and stats["pairs"] == len(pairs) > 0
    assert {by_id[pair.sample_id].split for pair in pairs} == {"train"}
    assert all(check_pair(pair, by_id[pair.sample_id]) == [] for pair in pairs)
    synthetic, _ = synthesize(samples, rows, PreferenceConfig(min_shift_s=0.25), *MACHINES)
    assert fpo.gather_pairs(synthetic, pairs) == [*synthetic, *pairs]


def test_without_draws_the_model_is_not_asked(
    samples: list[Sample], rows: list[VideoRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fpo, "_answers", None)
    pairs, stats = mined(samples, rows, tmp_path, HardNegativeConfig())
    assert pairs == [] and stats["answers"] == 0
