"""What one step of each phase computes."""

from dataclasses import replace

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
    model, config, clip = tiny.model(), SFTConfig(), tiny.encoder().clip
    true = pack([clip(tiny.features(8), tiny.branches(8, ("dvc",)))], 0)
    paired = pack([clip(tiny.features(8), [tiny.pair_branch("dvc", 8)])], 0)
    expected = sft_step(model, true, config).loss
    torch.testing.assert_close(sft_step(model, paired, config).loss, expected, **SAME)
    torch.testing.assert_close(fpo_step(model, paired, config, FPOConfig(weight=0.0)).loss, expected, **SAME)


def test_a_preference_step_adds_its_loss_and_says_what_it_saw() -> None:
    model, fpo = tiny.model(), FPOConfig(beta_text=0.2, beta_grounding=3.0, weight=0.5)
    clips = [
        tiny.encoder().clip(tiny.features(8), [tiny.pair_branch("dvc", 8), tiny.pair_branch("tvg", 8)]),
        tiny.encoder().clip(tiny.features(5), [tiny.pair_branch("tal", 5)]),
    ]
    result = fpo_step(model, pack(clips, 0), SFTConfig(), fpo)
    seen = result.figures
    text, grounding = (seen[f"chosen_{part}"] - seen[f"rejected_{part}"] for part in ("text", "grounding"))
    torch.testing.assert_close(seen["margin"], 0.2 * text + 3.0 * grounding, atol=1e-4, rtol=1e-4)
    alone = [
        fpo_step(model, pack([replace(clip, branches=[branch])], 0), SFTConfig(), fpo).figures
        for clip in clips
        for branch in clip.branches
    ]
    for name in ("preference", "margin", "preference_accuracy", "rejected_text"):
        mean = torch.stack([figures[name] for figures in alone]).mean()
        torch.testing.assert_close(seen[name], mean, atol=1e-4, rtol=1e-4)
    supervised = sft_step(model, pack(clips, 0), SFTConfig()).loss
    torch.testing.assert_close(result.loss, supervised + 0.5 * seen["preference"], **SAME)
