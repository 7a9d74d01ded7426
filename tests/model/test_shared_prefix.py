"""Sharing a prefix, a row or a batch changes nothing but the price."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import Clip, PackedBatch, pack
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.steps import batch_log_probs, sft_step
from model import tiny

SAME = {"atol": 1e-5, "rtol": 1e-5}


@dataclass(frozen=True)
class Computed:
    """What a batch computes, its responses in order, and the gradient of the sum of all of it."""

    logits_NV: Tensor
    similarities: list[Tensor]  # frames of the clip only
    queries_MD: Tensor
    gradients: dict[str, Tensor]
    features: list[Tensor]


def compute(model: D2VLM, batches: Sequence[Sequence[Clip]]) -> Computed:
    """Run batches one after the other; a weighted sum of all outputs goes backward."""
    model.zero_grad()
    leaves = [[clip.features_TNC.clone().requires_grad_() for clip in batch] for batch in batches]
    logits, similarities, queries = [], [], []
    for batch, features in zip(batches, leaves, strict=True):
        clips = [replace(clip, features_TNC=leaf) for clip, leaf in zip(batch, features, strict=True)]
        packed = pack(clips, tiny.tokens().pad)
        output, _ = model(packed)
        logits.append(output.token_logits_NV)
        queries.append(output.queries_MD)
        valid = packed.frame_valid_BT[packed.query_clip_M]
        similarities += [row[real] for row, real in zip(output.similarity_MT, valid, strict=True)]
    found = torch.cat(logits), torch.cat(queries)
    total = torch.log_softmax(found[0], dim=-1)[:, ::7].mean() + torch.sigmoid(torch.cat(similarities)).mean()
    (total + found[1].square().mean()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return Computed(found[0], similarities, found[1], gradients, [leaf for batch in leaves for leaf in batch])


def assert_same(shared: Computed, apart: Computed) -> None:
    torch.testing.assert_close(shared.logits_NV, apart.logits_NV, **SAME)
    torch.testing.assert_close(shared.queries_MD, apart.queries_MD, **SAME)
    for one, other in zip(shared.similarities, apart.similarities, strict=True):
        torch.testing.assert_close(one, other, **SAME)
    for name, gradient in shared.gradients.items():
        assert_same_gradient(gradient, apart.gradients[name], name)


def assert_same_gradient(one: Tensor, other: Tensor, name: str = "features") -> None:
    """Up to 1e-5 of the largest entry: rounding errors follow the sums they come from."""
    scale = other.abs().max()
    assert scale > 0, name
    assert ((one - other).abs().max() / scale).item() < 1e-5, name


@pytest.mark.parametrize("frames", [8, 5])
def test_branches_behind_one_prefix_equal_separate_passes(frames: int) -> None:
    model, whole = tiny.model(), tiny.clip(frames)
    parts = [replace(whole, branches=[branch]) for branch in whole.branches]
    shared, apart = compute(model, [[whole]]), compute(model, [[part] for part in parts])
    assert (
        len(shared.similarities) == sum(len(branch.responses[0].labels_KT) for branch in whole.branches) > 0
    )
    assert_same(shared, apart)
    assert_same_gradient(shared.features[0].grad, sum(leaf.grad for leaf in apart.features))


def test_the_order_of_branches_changes_nothing() -> None:
    model, clip = tiny.model(), tiny.clip(8, ("tvg", "dvc", "rar"))
    turned = replace(clip, branches=[clip.branches[at] for at in (2, 0, 1)])
    first, second = (model(pack([each], 0))[0] for each in (clip, turned))
    tokens = [len(branch.responses[0].token_ids) for branch in clip.branches]
    split = first.token_logits_NV.split(tokens)
    torch.testing.assert_close(torch.cat([split[2], split[0], split[1]]), second.token_logits_NV, **SAME)
    torch.testing.assert_close(first.similarity_MT, second.similarity_MT, **SAME)


def test_clips_of_any_length_in_one_batch_equal_clips_alone() -> None:
    model = tiny.model()
    clips = [tiny.clip(8, ("tvg", "tem")), tiny.clip(3, ("dvc",)), tiny.clip(12, ("rar", "absent", "tal"))]
    together, alone = compute(model, [clips]), compute(model, [[clip] for clip in clips])
    assert_same(together, alone)
    for one, other in zip(together.features, alone.features, strict=True):
        assert_same_gradient(one.grad, other.grad)


def test_two_sides_behind_one_question_equal_each_alone() -> None:
    model, features = tiny.model(), tiny.features(8)
    both = tiny.pair_branch("tem", 8)
    sides = [replace(both, responses=[response]) for response in both.responses]
    clip = tiny.clip_of
    shared = compute(model, [[clip(features, [both])]])
    apart = compute(model, [[clip(features, [side])] for side in sides])
    assert_same(shared, apart)


@pytest.mark.parametrize(
    "fpo",
    [
        FPOConfig(),
        FPOConfig(grounding_norm="sum", official_likelihood=True),
        FPOConfig(grounding_norm="differing"),
        FPOConfig(halves="evidence"),
    ],
)
def test_a_response_has_one_likelihood_wherever_it_is_packed(fpo: FPOConfig) -> None:
    model, clip = tiny.model(), tiny.clip_of
    first, second, other = tiny.pair_branch("tvg", 8), tiny.pair_branch("dvc", 8), tiny.pair_branch("tal", 12)
    long, short = tiny.features(12), tiny.features(8)
    together = log_probs(model, pack([clip(long, [other]), clip(short, [first, second])], 0), fpo)
    alone = [
        log_probs(model, pack([clip(features, [branch])], 0), fpo)
        for features, branch in ((long, other), (short, first), (short, second))
    ]
    assert together.shape == (2, 6)
    torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=1e-4, rtol=1e-5)


def log_probs(model: D2VLM, batch: PackedBatch, fpo: FPOConfig) -> Tensor:
    """Text and grounding part of every response, [2, R]."""
    output, state = model(batch)
    found = batch_log_probs(output, state.frame_valid_BT, batch, fpo)
    return torch.stack([found.text_R, found.grounding_R])


def test_everything_depends_on_the_video() -> None:
    model, clip = tiny.model(), tiny.clip(8)
    seen = model(pack([clip], 0))[0]
    blind = model(pack([replace(clip, features_TNC=torch.zeros_like(clip.features_TNC))], 0))[0]
    assert ((seen.token_logits_NV - blind.token_logits_NV).abs().amax(-1) > 1e-3).all()
    assert ((seen.similarity_MT - blind.similarity_MT).abs().amax(-1) > 1e-3).all()


def test_every_frame_and_every_parameter_learns() -> None:
    model = tiny.model()
    clips = [tiny.clip(8), tiny.clip(5, ("tvg",))]
    leaves = [clip.features_TNC.requires_grad_() for clip in clips]
    sft_step(model, pack(clips, 0), SFTConfig()).loss.backward()
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert still == []
    for leaf in leaves:
        assert (leaf.grad.abs().sum(dim=(1, 2)) > 0).all()


def test_the_content_of_the_evidence_reaches_what_follows() -> None:
    model, clip = tiny.model(), tiny.clip(8, ("tvg", "tem"))
    batch = pack([clip], 0)
    seen = model(batch)[0].token_logits_NV
    for row in range(len(batch.evi_row_E)):
        moved = pack([clip], 0)
        moved.evi_span_E2[row] = torch.tensor([5, 5]) if row != 0 else torch.tensor([0, 0])
        assert not torch.allclose(model(moved)[0].token_logits_NV, seen, atol=1e-4)


def test_a_clip_about_which_nothing_is_asked_and_a_question_without_an_answer_change_nothing() -> None:
    model = tiny.model()
    one, other = tiny.clip(8, ("tvg", "dvc")), tiny.clip(5, ("tem", "rar"))
    silent = replace(tiny.clip(11, ("tvg",)), branches=[])
    unanswered = replace(other, branches=[replace(other.branches[1], responses=[]), *other.branches])
    found = []
    for clips in ([one, other], [one, silent, unanswered]):
        model.zero_grad(set_to_none=True)
        loss = sft_step(model, pack(clips), SFTConfig()).loss
        loss.backward()
        found.append((loss.detach(), {name: p.grad for name, p in model.named_parameters()}))
    (expected, gradients), (loss, others) = found
    torch.testing.assert_close(loss, expected)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
