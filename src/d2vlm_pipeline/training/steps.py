"""What one step of each phase computes."""

from __future__ import annotations

from torch import Tensor

from d2vlm_pipeline.model.d2vlm import D2VLM, ModelOutput
from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.objectives import (
    FPOConfig,
    SFTConfig,
    SFTLoss,
    preference_loss,
    response_log_probs,
    sft_loss,
)
from d2vlm_pipeline.training.loop import StepResult


def sft_step(model: D2VLM, batch: PackedBatch, config: SFTConfig) -> StepResult:
    """Supervised loss over every response of the batch."""
    output, state = model(batch)
    loss = chosen_loss(output, state.frame_valid_BT, batch, config)
    return StepResult(loss.total, _figures(loss))


def fpo_step(model: D2VLM, batch: PackedBatch, sft: SFTConfig, fpo: FPOConfig) -> StepResult:
    """Supervised loss on chosen responses plus the preference loss of every pair (method.md §4.2)."""
    output, state = model(batch)
    supervised = chosen_loss(output, state.frame_valid_BT, batch, sft)
    log_probs = response_log_probs(
        output.token_logits_NV,
        batch.token_id_N,
        batch.token_branch_N,
        output.similarity_MT,
        batch.query_label_MT,
        state.frame_valid_BT[batch.query_clip_M],
        batch.query_branch_M,
        len(batch.branch_variant_R),
        fpo,
    )
    rejected = (batch.branch_variant_R == 2).nonzero().squeeze(1)
    # A pair's two sides follow one another; responses without a rejected side only keep what was learned.
    chosen = rejected - 1
    preference = preference_loss(log_probs, chosen, rejected, fpo)
    figures = {
        **_figures(supervised),
        "preference": preference.loss,
        "margin": _mean(preference.margin_P),
        "preference_accuracy": preference.accuracy,
        "chosen_text": _mean(log_probs.text_R[chosen]),
        "chosen_grounding": _mean(log_probs.grounding_R[chosen]),
        "rejected_text": _mean(log_probs.text_R[rejected]),
        "rejected_grounding": _mean(log_probs.grounding_R[rejected]),
    }
    return StepResult(supervised.total + fpo.weight * preference.loss, figures)


def chosen_loss(
    output: ModelOutput, frame_valid_BT: Tensor, batch: PackedBatch, config: SFTConfig
) -> SFTLoss:
    """The supervised loss of first responses; second ones are rejected and teach no imitation."""
    tokens = batch.branch_variant_R[batch.token_branch_N] == 1
    queries = batch.branch_variant_R[batch.query_branch_M] == 1
    pairs = batch.pair_2L[:, queries[batch.pair_2L[0]]]
    return sft_loss(
        output.token_logits_NV[tokens],
        batch.token_id_N[tokens],
        output.similarity_MT[queries],
        batch.query_label_MT[queries],
        frame_valid_BT[batch.query_clip_M[queries]],
        batch.query_branch_M[queries],
        output.queries_MD,
        pairs,
        batch.query_branch_M[pairs[0]],
        config,
    )


def _figures(loss: SFTLoss) -> dict[str, Tensor]:
    return {"token": loss.token, "grounding": loss.grounding, "consistency": loss.consistency}


def _mean(values_P: Tensor) -> Tensor:
    """Mean over the pairs of a batch, 0 where it holds none."""
    return values_P.sum() / max(1, len(values_P))
