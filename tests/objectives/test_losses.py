"""Losses against numbers worked out by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from d2vlm_pipeline.objectives import (
    OFFICIAL_FPO,
    OFFICIAL_SFT,
    AxisWeights,
    EvidenceRows,
    FPOConfig,
    ResponseLogProbs,
    SFTConfig,
    consistency_loss,
    grounding_loss,
    preference_loss,
    response_log_probs,
    sft_loss,
)
from d2vlm_pipeline.objectives.fpo import interval_log_likelihood

LN2 = math.log(2)
PAIR = (torch.tensor([0]), torch.tensor([1]))


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def log_probs(config: FPOConfig, **changes: Any) -> ResponseLogProbs:
    """Likelihood of two responses: two tokens each, one evidence row each, two frames, all logits 0."""
    given = {
        "token_logits_NV": torch.zeros(4, 8),
        "token_id_N": torch.tensor([1, 2, 3, 4]),
        "token_branch_N": torch.tensor([0, 0, 1, 1]),
    } | {name: value for name, value in changes.items() if name.startswith("token")}
    rows = {
        "similarity_MT": torch.zeros(2, 2),
        "label_MT": torch.tensor([[1.0, 0.0], [0.5, 0.25]]),
        "frame_valid_MT": ones(2, 2),
        "branch_M": torch.tensor([0, 1]),
        "in_answer_M": torch.tensor([False, False]),
        "rival_R": torch.tensor([1, 0]),
    } | {name: value for name, value in changes.items() if not name.startswith("token")}
    return response_log_probs(**given, rows=EvidenceRows(**rows), config=config)


def two_responses(text: list[float], grounding: list[float]) -> ResponseLogProbs:
    return ResponseLogProbs(torch.tensor(text), torch.tensor(grounding))


def test_grounding_averages_within_a_response_and_then_over_responses() -> None:
    similarity = torch.zeros(3, 2)
    similarity[2] = torch.tensor([math.log(3), -math.log(3)])  # probabilities ¾ and ¼
    label = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    loss = grounding_loss(similarity, label, ones(3, 2), torch.tensor([4, 4, 7]))
    # One response of two rows at chance, one of a row that is right once and wrong once.
    assert loss.item() == pytest.approx((LN2 + (-math.log(0.75) - math.log(0.25)) / 2) / 2)


@pytest.mark.parametrize(("mean", "share_of_the_surprised"), [("responses", 1 / 2), ("rows", 1 / 3)])
def test_grounding_weighs_responses_or_rows_alike(mean: Any, share_of_the_surprised: float) -> None:
    similarity = torch.zeros(3, 2)
    similarity[2] = torch.tensor([math.log(3), -math.log(3)])  # probabilities ¾ and ¼
    loss = sft_loss(
        torch.zeros(1, 4),
        torch.tensor([1]),
        similarity,
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
        ones(3, 2),
        torch.tensor([4, 4, 7]),
        torch.zeros(3, 2),
        torch.zeros(2, 0, dtype=torch.long),
        torch.zeros(0, dtype=torch.long),
        SFTConfig(grounding_mean=mean),
    )
    surprised = (-math.log(0.75) - math.log(0.25)) / 2
    expected = share_of_the_surprised * surprised + (1 - share_of_the_surprised) * LN2
    assert loss.grounding.item() == pytest.approx(expected)


def test_frames_that_do_not_exist_do_not_count() -> None:
    similarity, label = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]])
    similarity[0, 2] = -50.0
    valid = torch.tensor([[True, True, False]])
    assert grounding_loss(similarity, label, valid, torch.tensor([0])).item() == pytest.approx(LN2)
    config = FPOConfig(grounding_norm="frames")
    found = log_probs(
        config,
        similarity_MT=similarity.repeat(2, 1),
        label_MT=label.repeat(2, 1),
        frame_valid_MT=valid.repeat(2, 1),
    )
    assert found.grounding_R.tolist() == pytest.approx([-LN2, -LN2])


def test_consistency_is_the_mean_distance_of_the_two_halves() -> None:
    queries = torch.tensor([[1.0, 1.0], [0.0, 0.0], [3.0, 1.0], [0.0, 4.0]])
    pairs = torch.tensor([[0, 1], [2, 3]])
    assert consistency_loss(queries, pairs, torch.tensor([0, 0])).item() == pytest.approx((1.0 + 2.0) / 2)
    assert consistency_loss(queries, pairs[:, :1], torch.tensor([0])).item() == 1.0


def test_consistency_pulls_on_both_halves() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    consistency_loss(queries, torch.tensor([[0], [1]]), torch.tensor([0])).backward()
    assert queries.grad.tolist() == [[0.5, -0.5], [-0.5, 0.5]]


def test_a_batch_without_evidence_trains_its_tokens() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    queries = torch.zeros(0, 3, requires_grad=True)
    similarity = torch.zeros(0, 5, requires_grad=True)
    empty = torch.zeros(0, dtype=torch.long)
    loss = sft_loss(
        logits,
        torch.tensor([1, 2]),
        similarity,
        torch.zeros(0, 5),
        ones(0, 5),
        empty,
        queries,
        torch.zeros(2, 0, dtype=torch.long),
        empty,
        SFTConfig(),
    )
    assert loss.total.item() == pytest.approx(math.log(4))
    assert loss.grounding.item() == loss.consistency.item() == 0.0
    loss.total.backward()
    assert logits.grad.abs().sum() > 0
    assert queries.grad is not None and similarity.grad is not None  # no parameter falls out of the graph


@pytest.mark.parametrize("config", [SFTConfig(grounding_weight=3.0, consistency_weight=5.0), OFFICIAL_SFT])
def test_the_total_weighs_its_parts(config: SFTConfig) -> None:
    loss = sft_loss(
        torch.zeros(2, 4),
        torch.tensor([1, 2]),
        torch.zeros(2, 3),
        torch.ones(2, 3),
        ones(2, 3),
        torch.tensor([0, 0]),
        torch.tensor([[0.0, 0.0], [2.0, 2.0]]),
        torch.tensor([[0], [1]]),
        torch.tensor([0]),
        config,
    )
    assert (loss.token.item(), loss.grounding.item()) == pytest.approx((math.log(4), LN2))
    assert loss.consistency.item() == 2.0
    expected = math.log(4) + config.grounding_weight * LN2 + config.consistency_weight * 2.0
    assert loss.total.item() == pytest.approx(expected)


def test_the_official_weights() -> None:
    assert (OFFICIAL_SFT.grounding_weight, OFFICIAL_SFT.consistency_weight, OFFICIAL_SFT.soft_base) == (
        10,
        10,
        2,
    )
    assert (OFFICIAL_FPO.beta_text, OFFICIAL_FPO.beta_grounding, OFFICIAL_FPO.weight) == (0.1, 0.1, 1)


@pytest.mark.parametrize("official", [True, False])
def test_at_chance_every_frame_says_half_whatever_its_label(official: bool) -> None:
    label = torch.tensor([[1.0, 0.0], [0.5, 0.25]])
    likelihood = interval_log_likelihood(torch.zeros(2, 2), label, official)
    torch.testing.assert_close(likelihood, torch.full((2, 2), -LN2))


def test_hard_labels_give_the_product_of_the_paper() -> None:
    z, label = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]])
    p = torch.sigmoid(z)[0]
    expected = torch.log(p[0] * (1 - p[1]) * (1 - p[2]))
    for official in (True, False):
        found = interval_log_likelihood(z, label, official).sum()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0.0)


def test_the_official_likelihood_has_no_slope_at_one_half_ours_has() -> None:
    slopes = []
    for official in (True, False):
        z = torch.tensor([[1.5]], requires_grad=True)
        interval_log_likelihood(z, torch.tensor([[0.5]]), official).sum().backward()
        slopes.append(z.grad.item())
    assert slopes[0] == pytest.approx(0.0, abs=1e-7)
    assert slopes[1] == pytest.approx(0.5 - torch.sigmoid(torch.tensor(1.5)).item())


def test_the_stable_likelihood_keeps_its_slope_where_probabilities_vanish() -> None:
    z = torch.tensor([[-200.0]], requires_grad=True)
    likelihood = interval_log_likelihood(z, torch.tensor([[1.0]]), official=False).sum()
    likelihood.backward()
    assert likelihood.item() == pytest.approx(-200.0)
    assert z.grad.item() == pytest.approx(1.0)


def test_text_sums_over_tokens_and_grounding_over_rows_and_frames() -> None:
    found = log_probs(OFFICIAL_FPO)
    assert found.text_R.tolist() == pytest.approx([-2 * math.log(8)] * 2)
    assert found.grounding_R.tolist() == pytest.approx([-2 * LN2] * 2)
    assert log_probs(FPOConfig(grounding_norm="frames")).grounding_R.tolist() == pytest.approx([-LN2] * 2)


def test_each_response_gets_its_own_tokens_and_rows() -> None:
    logits = torch.zeros(4, 8)
    logits[3, 4] = 5.0
    similarity = torch.zeros(2, 2)
    similarity[0, 0] = 4.0
    found = log_probs(OFFICIAL_FPO, token_logits_NV=logits, similarity_MT=similarity)
    picked = functional.log_softmax(logits, dim=-1)
    assert found.text_R.tolist() == pytest.approx([-2 * math.log(8), (picked[2, 3] + picked[3, 4]).item()])
    assert found.grounding_R.tolist() == pytest.approx(
        [math.log(1 / (1 + math.exp(-4))) - LN2, -2 * LN2], rel=1e-5
    )


def test_a_response_without_evidence_is_judged_by_its_text() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    nothing = {
        "similarity_MT": torch.zeros(0, 2),
        "label_MT": torch.zeros(0, 2),
        "frame_valid_MT": ones(0, 2),
    }
    found = log_probs(FPOConfig(), branch_M=empty, in_answer_M=empty.bool(), **nothing)
    assert found.grounding_R.tolist() == [0.0, 0.0]
    assert found.text_R.tolist() == pytest.approx([-2 * math.log(8)] * 2)


def test_equal_likelihoods_lose_ln_2() -> None:
    found = preference_loss(two_responses([-3.0, -3.0], [-1.0, -1.0]), *PAIR, OFFICIAL_FPO)
    assert found.loss.item() == pytest.approx(LN2)
    assert found.accuracy.item() == 0.0


def test_a_margin_of_ten_loses_little() -> None:
    # 10 nats apart, 7 of them text: β = 0.1 makes a margin of 1.
    found = preference_loss(two_responses([-3.0, -10.0], [-1.0, -4.0]), *PAIR, OFFICIAL_FPO)
    assert found.margin_P.tolist() == pytest.approx([1.0])
    assert found.loss.item() == pytest.approx(0.3133, abs=1e-4)
    assert found.accuracy.item() == 1.0


def test_text_and_grounding_have_scales_of_their_own() -> None:
    config = FPOConfig(beta_text=0.5, beta_grounding=2.0)
    found = preference_loss(two_responses([-1.0, -2.0], [-3.0, -2.0]), *PAIR, config)
    assert found.margin_P.tolist() == pytest.approx([0.5 - 2.0])


def test_the_loss_is_the_mean_over_pairs_and_moves_both_sides() -> None:
    text = torch.tensor([-3.0, -10.0, -5.0, -5.0], requires_grad=True)
    chosen, rejected = torch.tensor([0, 2]), torch.tensor([1, 3])
    config = FPOConfig(beta_text=0.1)
    found = preference_loss(ResponseLogProbs(text, torch.zeros(4)), chosen, rejected, config)
    assert found.loss.item() == pytest.approx((math.log(1 + math.exp(-0.7)) + LN2) / 2)
    assert found.accuracy.item() == 0.5
    found.loss.backward()
    assert (text.grad[chosen] < 0).all() and (text.grad[rejected] > 0).all()


def shifted_pair(**changes: Any) -> dict[str, Any]:
    """Chosen on frames 1–2 and rejected on frames 2–3 of five, both halves alike; logits differ by frame."""
    chosen, rejected = torch.tensor([0.0, 1, 1, 0, 0]), torch.tensor([0.0, 0, 1, 1, 0])
    similarity = torch.tensor([0.3, 2.0, 1.0, -0.7, 0.1])
    rows = {
        "similarity_MT": torch.stack([similarity, similarity + 1, similarity, similarity + 1]),
        "label_MT": torch.stack([chosen, chosen, rejected, rejected]),
        "frame_valid_MT": ones(4, 5),
        "branch_M": torch.tensor([0, 0, 1, 1]),
        "in_answer_M": torch.tensor([False, True, False, True]),
    }
    return rows | changes


def frame_log_p(similarity: float, label: float) -> float:
    return float(functional.logsigmoid(torch.tensor(similarity if label else -similarity)))


@pytest.mark.parametrize(("halves", "offsets"), [("evidence", [0]), ("both", [0, 1])])
def test_only_frames_that_differ_count(halves: Any, offsets: list[int]) -> None:
    config = FPOConfig(grounding_norm="differing", halves=halves)
    found = log_probs(config, **shifted_pair())
    # The sides differ on frames 1 and 3; the two rows of a response are each a mean over them.
    chosen = sum((frame_log_p(2.0 + more, 1) + frame_log_p(-0.7 + more, 0)) / 2 for more in offsets)
    rejected = sum((frame_log_p(2.0 + more, 0) + frame_log_p(-0.7 + more, 1)) / 2 for more in offsets)
    assert found.grounding_R.tolist() == pytest.approx([chosen, rejected], rel=1e-5)


def test_where_nothing_differs_grounding_is_silent() -> None:
    rows = shifted_pair()
    rows["label_MT"] = rows["label_MT"][:2].repeat(2, 1)
    found = log_probs(FPOConfig(grounding_norm="differing"), **rows)
    assert found.grounding_R.tolist() == [0.0, 0.0]
    alone = log_probs(FPOConfig(grounding_norm="differing"), **shifted_pair(rival_R=torch.tensor([0, 1])))
    assert alone.grounding_R.tolist() == [0.0, 0.0]


def test_the_evidence_half_alone_is_half_of_equal_halves() -> None:
    rows = shifted_pair()
    rows["similarity_MT"] = rows["similarity_MT"][:1].repeat(4, 1)
    both, evidence = (
        log_probs(FPOConfig(halves=halves), **rows).grounding_R for halves in ("both", "evidence")
    )
    torch.testing.assert_close(both, 2 * evidence)


def test_a_target_margin_has_to_be_exceeded() -> None:
    found = preference_loss(
        two_responses([-3.0, -10.0], [-1.0, -4.0]), *PAIR, FPOConfig(beta_text=0.1, target_margin=1.0)
    )
    assert found.margin_P.tolist() == pytest.approx([1.0])
    assert found.loss.item() == pytest.approx(LN2)


def test_a_reference_that_agrees_takes_the_margin_away() -> None:
    policy, reference = two_responses([-3.0, -10.0], [-1.0, -4.0]), two_responses([-2.0, -5.0], [0.0, -1.0])
    found = preference_loss(policy, *PAIR, FPOConfig(beta_text=0.1, beta_grounding=0.1), reference)
    assert found.margin_P.tolist() == pytest.approx([0.1 * (7 + 3 - 3 - 1)])


def test_axes_weigh_their_pairs() -> None:
    weights = AxisWeights(boundaries=3.0, text=0.0)
    assert weights.of(["boundaries"]) == 3.0
    assert weights.of(["boundaries", "text"]) == 1.5
    log_p = two_responses([-3.0, -10.0], [-1.0, -4.0])
    plain = preference_loss(log_p, *PAIR, FPOConfig()).loss
    weighed = preference_loss(log_p, *PAIR, FPOConfig(), weight_P=torch.tensor([3.0])).loss
    torch.testing.assert_close(weighed, 3 * plain)
