"""What one step of each phase computes."""

from __future__ import annotations

import torch
from torch import Tensor

from d2vlm_pipeline.model.d2vlm import D2VLM, ModelOutput
from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.objectives import (
    NOT_SCORED,
    EvidenceRows,
    FPOConfig,
    ResponseLogProbs,
    SFTConfig,
    SFTLoss,
    preference_loss,
    response_log_probs,
    sft_loss,
)
from d2vlm_pipeline.training.accumulation import StepResult

_OF_PAIRS = ("chosen_text", "chosen_grounding", "rejected_text", "rejected_grounding")


def sft_step(model: D2VLM, batch: PackedBatch, config: SFTConfig) -> StepResult:
    """Supervised loss over every response of the batch."""
    output, state = model(batch)
    loss = chosen_loss(output, state.frame_valid_BT, batch, config)
    return StepResult(loss.total, _figures(loss), terms=_terms(loss, config))


def sft_counts(batch: PackedBatch, config: SFTConfig) -> dict[str, int]:
    """By term of `sft_step`, how many tokens, rows or responses it is a mean over."""
    is_first_R = batch.branch_variant_R == 1
    rows = batch.query_branch_M[is_first_R[batch.query_branch_M]]
    pairs = batch.query_branch_M[batch.pair_2L[0]]
    return {
        "token": int(is_first_R[batch.token_branch_N].sum()),
        "grounding": len(rows) if config.grounding_mean == "rows" else len(rows.unique()),
        "consistency": len(pairs[is_first_R[pairs]].unique()),
    }


def fpo_step(
    model: D2VLM,
    batch: PackedBatch,
    sft: SFTConfig,
    fpo: FPOConfig,
    reference: D2VLM | None = None,
) -> StepResult:
    """Supervised loss on chosen responses plus the preference loss of every pair (method.md §4.2).

    Args:
        model: what is trained.
        batch: clips with their pairs; responses without a rejected side only keep what was learned.
        sft: the supervised part.
        fpo: the preference part.
        reference: the frozen model whose margin is subtracted, if any.
    """
    output, state = model(batch)
    supervised = chosen_loss(output, state.frame_valid_BT, batch, sft)
    log_probs = batch_log_probs(output, state.frame_valid_BT, batch, fpo)
    rejected = (batch.branch_variant_R == 2).nonzero().squeeze(1)
    chosen = rejected - 1  # a pair's two sides follow one another
    preference = preference_loss(
        log_probs,
        chosen,
        rejected,
        fpo,
        None if reference is None else _reference_log_probs(reference, batch, fpo),
        batch.branch_weight_R[rejected],
    )
    sides = [part[rows] for rows in (chosen, rejected) for part in (log_probs.text_R, log_probs.grounding_R)]
    figures = {
        **_figures(supervised),
        "preference": preference.loss,
        "preference_accuracy": preference.accuracy,
        **dict(zip(_OF_PAIRS, map(_mean, sides), strict=True)),
    }
    spreads = {"margin": preference.margin_P}
    for factor in sorted({name for names in batch.branch_factors_R for name in names}):
        of_factor = [factor in batch.branch_factors_R[row] for row in rejected.tolist()]
        spreads[f"margin/{factor}"] = preference.margin_P[torch.tensor(of_factor, device=rejected.device)]
    weighted = fpo.weight * preference.loss
    terms = {**_terms(supervised, sft), "preference": weighted}
    return StepResult(supervised.total + weighted, figures, spreads, terms)


def fpo_counts(batch: PackedBatch, sft: SFTConfig) -> dict[str, int]:
    """By term and by figure of `fpo_step`, how many tokens, rows, responses or pairs it is a mean over."""
    pairs = int((batch.branch_variant_R == 2).sum())
    figures = ("preference", "preference_accuracy", *_OF_PAIRS)
    return {**sft_counts(batch, sft), **dict.fromkeys(figures, pairs)}


def batch_log_probs(
    output: ModelOutput, frame_valid_BT: Tensor, batch: PackedBatch, config: FPOConfig
) -> ResponseLogProbs:
    """log π of every response of a batch."""
    return response_log_probs(
        output.token_logits_NV,
        batch.token_id_N,
        batch.token_branch_N,
        evidence_rows(output, frame_valid_BT, batch),
        config,
    )


def evidence_rows(output: ModelOutput, frame_valid_BT: Tensor, batch: PackedBatch) -> EvidenceRows:
    """The evidence rows of a batch, with the half and the pair that each belongs to."""
    in_answer = torch.zeros_like(batch.query_branch_M, dtype=torch.bool)
    in_answer[batch.pair_2L[1]] = True
    rival = torch.arange(len(batch.branch_variant_R), device=in_answer.device)
    rejected = (batch.branch_variant_R == 2).nonzero().squeeze(1)
    rival[rejected], rival[rejected - 1] = rejected - 1, rejected
    return EvidenceRows(
        output.similarity_MT,
        batch.query_label_MT,
        frame_valid_BT[batch.query_clip_M],
        batch.query_branch_M,
        in_answer,
        rival,
    )


@torch.no_grad()
def _reference_log_probs(model: D2VLM, batch: PackedBatch, config: FPOConfig) -> ResponseLogProbs:
    output, state = model(batch)
    return batch_log_probs(output, state.frame_valid_BT, batch, config)


def chosen_loss(
    output: ModelOutput, frame_valid_BT: Tensor, batch: PackedBatch, config: SFTConfig
) -> SFTLoss:
    """The supervised loss of first responses; second ones are rejected and teach no imitation."""
    # Not selected: rows of the logits are as long as the vocabulary, and would be copied both ways.
    is_rejected_N = batch.branch_variant_R[batch.token_branch_N] != 1
    queries = batch.branch_variant_R[batch.query_branch_M] == 1
    pairs = batch.pair_2L[:, queries[batch.pair_2L[0]]]
    return sft_loss(
        output.token_logits_NV,
        batch.token_id_N.masked_fill(is_rejected_N, NOT_SCORED),
        output.similarity_MT[queries],
        batch.query_label_MT[queries],
        frame_valid_BT[batch.query_clip_M[queries]],
        batch.query_branch_M[queries],
        output.queries_MD,
        pairs,
        batch.query_branch_M[pairs[0]],
        config,
    )


def _terms(loss: SFTLoss, config: SFTConfig) -> dict[str, Tensor]:
    """What the total is the sum of."""
    return {
        "token": loss.token,
        "grounding": config.grounding_weight * loss.grounding,
        "consistency": config.consistency_weight * loss.consistency,
    }


def _figures(loss: SFTLoss) -> dict[str, Tensor]:
    return {"token": loss.token, "grounding": loss.grounding, "consistency": loss.consistency}


def _mean(values_P: Tensor) -> Tensor:
    """Mean over the pairs of a batch, 0 where it holds none."""
    return values_P.sum() / max(1, len(values_P))
