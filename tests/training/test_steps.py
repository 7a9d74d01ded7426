"""What one step of each phase computes."""

import math
from dataclasses import replace

import pytest
import torch

from d2vlm_pipeline.model.packing import pack
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.steps import fpo_step, sft_step
from model import tiny

SAME = {"atol": 1e-5, "rtol": 1e-5}


def test_the_losses_are_means_over_what_lies_in_the_batch() -> None:
    model, config = tiny.model(), SFTConfig()
    clips = [tiny.clip(8, ("tvg", "rar")), tiny.clip(5, ("dvc",))]
    alone = [pack([replace(clip, branches=[branch])], 0) for clip in clips for branch in clip.branches]
    together = sft_step(model, pack(clips, 0), config).figures
    parts = [sft_step(model, batch, config).figures for batch in alone]
    counts = torch.tensor([float(len(batch.token_id_N)) for batch in alone])
    tokens = torch.stack([part["token"] for part in parts])
    torch.testing.assert_close(together["token"], (tokens * counts).sum() / counts.sum(), **SAME)
    for name in ("grounding", "consistency"):
        # Of three responses, the choice among options has no evidence and does not count.
        expected = torch.stack([part[name] for part in parts]).sum() / 2
        torch.testing.assert_close(together[name], expected, **SAME)


def test_supervised_training_on_pairs_ignores_the_rejected_side() -> None:
    model, config, clip = tiny.model(), SFTConfig(), tiny.clip_of
    true = pack([clip(tiny.features(8), tiny.branches(8, ("dvc",)))], 0)
    paired = pack([clip(tiny.features(8), [tiny.pair_branch("dvc", 8)])], 0)
    expected = sft_step(model, true, config).loss
    torch.testing.assert_close(sft_step(model, paired, config).loss, expected, **SAME)
    torch.testing.assert_close(fpo_step(model, paired, config, FPOConfig(weight=0.0)).loss, expected, **SAME)


def test_a_preference_step_adds_its_loss_and_says_what_it_saw() -> None:
    model, fpo = tiny.model(), FPOConfig(beta_text=0.2, beta_grounding=3.0, weight=0.5)
    clips = [
        tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8), tiny.pair_branch("tvg", 8)]),
        tiny.clip_of(tiny.features(5), [tiny.pair_branch("tal", 5)]),
    ]
    result = fpo_step(model, pack(clips, 0), SFTConfig(), fpo)
    seen = result.figures
    text, grounding = (seen[f"chosen_{part}"] - seen[f"rejected_{part}"] for part in ("text", "grounding"))
    torch.testing.assert_close(
        result.spreads["margin"].mean(), 0.2 * text + 3.0 * grounding, atol=1e-4, rtol=1e-4
    )
    alone = [
        fpo_step(model, pack([replace(clip, branches=[branch])], 0), SFTConfig(), fpo)
        for clip in clips
        for branch in clip.branches
    ]
    for name in ("preference", "preference_accuracy", "rejected_text"):
        mean = torch.stack([step.figures[name] for step in alone]).mean()
        torch.testing.assert_close(seen[name], mean, atol=1e-4, rtol=1e-4)
    margins = torch.cat([step.spreads["margin"] for step in alone])
    torch.testing.assert_close(result.spreads["margin"], margins, atol=1e-4, rtol=1e-4)
    supervised = sft_step(model, pack(clips, 0), SFTConfig()).loss
    torch.testing.assert_close(result.loss, supervised + 0.5 * seen["preference"], **SAME)


def test_margins_are_told_apart_by_what_was_corrupted() -> None:
    model, features = tiny.model(), tiny.features(8)
    shifted, told_twice = (
        replace(tiny.pair_branch(form, 8), factors=factors)
        for form, factors in (("dvc", ("shift",)), ("tvg", ("shift", "repeat")))
    )
    batch = pack([tiny.clip_of(features, [shifted, told_twice, tiny.branches(8, ("tvg",))[0]])], 0)
    spreads = fpo_step(model, batch, SFTConfig(), FPOConfig()).spreads
    assert set(spreads) == {"margin", "margin/shift", "margin/repeat"}
    assert spreads["margin/shift"].tolist() == spreads["margin"].tolist()
    assert spreads["margin/repeat"].tolist() == spreads["margin"].tolist()[1:]


def test_a_pair_weighs_what_its_branch_says() -> None:
    model, features = tiny.model(), tiny.features(8)
    pairs = [tiny.pair_branch("dvc", 8), tiny.pair_branch("tvg", 8)]

    def preference(*weights: float) -> float:
        branches = [replace(pair, weight=weight) for pair, weight in zip(pairs, weights, strict=True)]
        step = fpo_step(model, pack([tiny.clip_of(features, branches)], 0), SFTConfig(), FPOConfig())
        return float(step.figures["preference"].detach())

    first, second = preference(2.0, 0.0), preference(0.0, 2.0)
    assert abs(first - second) > 1e-4
    assert preference(1.0, 1.0) == pytest.approx((first + second) / 2)


def test_against_itself_a_model_has_no_margin_but_learns() -> None:
    """π = π_ref: every margin is 0, every pair loses ln 2, and the gradient is that of the policy alone."""
    model, config = tiny.model(), FPOConfig(reference=True)
    batch = pack([tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8)])], 0)
    same = fpo_step(model, batch, SFTConfig(), config, reference=model)
    assert same.spreads["margin"].tolist() == pytest.approx([0.0], abs=1e-5)
    assert float(same.figures["preference"].detach()) == pytest.approx(math.log(2))
    same.figures["preference"].backward()
    assert any(
        bool(parameter.grad.abs().max() > 0) for parameter in model.parameters() if parameter.grad is not None
    )


def test_the_margin_of_the_reference_is_subtracted() -> None:
    model, other, config = tiny.model(), tiny.model(seed=5), FPOConfig(reference=True)
    batch = pack([tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8)])], 0)
    policy, reference = (
        fpo_step(each, batch, SFTConfig(), config).spreads["margin"] for each in (model, other)
    )
    against = fpo_step(model, batch, SFTConfig(), config, reference=other)
    torch.testing.assert_close(against.spreads["margin"], policy - reference, **SAME)
    against.loss.backward()
    assert all(parameter.grad is None for parameter in other.parameters())
