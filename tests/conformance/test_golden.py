"""Our model and losses give the numbers of the official code, on its weights and inputs."""

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from conformance.golden import (
    SAME_STATES,
    BackboneCall,
    Case,
    CaseEncoder,
    close,
    each,
    find_cases,
    golden_folder,
    model_record,
    official_model,
    our_name,
    pairs_of,
    recorded_calls,
    shares_first_token,
)
from d2vlm_pipeline.model.d2vlm import D2VLM, ModelOutput, PrefixState
from d2vlm_pipeline.model.packing import PackedBatch, pack
from d2vlm_pipeline.objectives import (
    OFFICIAL_FPO,
    OFFICIAL_SFT,
    PreferenceLoss,
    ResponseLogProbs,
    SFTLoss,
    preference_loss,
    response_log_probs,
)
from d2vlm_pipeline.training.steps import chosen_loss, evidence_rows, fpo_step, sft_step

SFT, FPO = find_cases("sft"), find_cases("fpo")

LOSSES = {"atol": 1e-4, "rtol": 1e-5}
LOG_PROBS = {"atol": 1e-3, "rtol": 0.0}


def test_the_cases_are_here() -> None:
    if golden_folder() is None:
        pytest.skip(
            "no golden cases: ../shared is not beside this checkout; set D2VLM_GOLDEN_DIR to a folder of them"
        )
    kinds = ("sft", "fpo", "generation", "span_selection")
    assert any(find_cases(kind) for kind in kinds), f"{golden_folder()} holds no cases"


@dataclass(frozen=True)
class Run:
    """A case, what our model made of it, and one backward of the total loss."""

    case: Case
    model: D2VLM
    frames: list[Tensor]
    batch: PackedBatch
    prefix: BackboneCall
    suffix: BackboneCall
    output: ModelOutput
    state: PrefixState
    supervised: SFTLoss
    total: Tensor
    log_probs: ResponseLogProbs | None = None
    preference: PreferenceLoss | None = None

    def hidden(self, index: int, layer: int) -> Tensor:
        """Hidden states of one sample, [total length, D]."""
        sample = self.case.samples[index]
        before = sample["prefix_len"] + sample["T"]
        behind = self.suffix.hidden[layer][0, self.rows(index)]
        return torch.cat([self.prefix.hidden[layer][index, :before], behind])

    def rows(self, index: int) -> Tensor:
        """Rows of what follows a sample's prefix."""
        rows = self.batch.question_row_QK[index]
        return rows[rows >= 0]

    def positions(self, index: int) -> Tensor:
        """Position ids of one sample, [total length]."""
        sample = self.case.samples[index]
        before = self.prefix.positions[index, : sample["prefix_len"] + sample["T"]]
        return torch.cat([before, self.suffix.positions[0, self.rows(index)]])

    def suffix_logits(self, index: int) -> Tensor:
        """Logits from the last frame on, [suffix length + 1, V]."""
        sample = self.case.samples[index]
        return self.model.token_logits(self.hidden(index, -1)[sample["prefix_len"] + sample["T"] - 1 :])

    def evi_added(self, index: int) -> Tensor:
        rows = self.batch.evi_row_E[self.batch.evi_clip_E == index]
        return self.suffix.hidden[0][0, rows] - self.model.embed(self.batch.suffix_ids_S[rows])


def frame_inputs(case: Case) -> list[Tensor]:
    """Frame embeddings of every sample, [T, D] each, as leaves that collect gradients."""
    return [case.of_sample(i, "frame_embeds").clone().requires_grad_() for i in range(len(case.samples))]


@cache
def run_sft(case: Case) -> Run:
    model, frames = official_model(case.folder.parent), frame_inputs(case)
    clip = CaseEncoder(model_record(case.folder.parent)).sft_clip
    batch = pack([clip(*pair) for pair in zip(case.samples, frames, strict=True)])
    with recorded_calls(model) as calls:
        output, state = model(batch)
    loss = chosen_loss(output, state.frame_valid_BT, batch, OFFICIAL_SFT)
    loss.total.backward()
    return Run(case, model, frames, batch, *calls, output, state, loss, loss.total)


@cache
def run_fpo(case: Case) -> Run:
    model, frames = official_model(case.folder.parent), frame_inputs(case)
    # The likelihood reads labels of unrounded intervals, the supervised loss of rounded ones.
    rounded, exact = (CaseEncoder(model_record(case.folder.parent), rounded) for rounded in (True, False))
    batch = pack([rounded.fpo_clip(*pair) for pair in zip(case.samples, frames, strict=True)])
    labels_MT = pack(
        [exact.fpo_clip(*pair) for pair in zip(case.samples, frames, strict=True)]
    ).query_label_MT
    with recorded_calls(model) as calls:
        output, state = model(batch)
    supervised = chosen_loss(output, state.frame_valid_BT, batch, OFFICIAL_SFT)
    scored = scored_tokens(case, batch)
    log_probs = response_log_probs(
        output.token_logits_NV[scored],
        batch.token_id_N[scored],
        batch.token_branch_N[scored],
        replace(evidence_rows(output, state.frame_valid_BT, batch), label_MT=labels_MT),
        OFFICIAL_FPO,
    )
    chosen, rejected = ((batch.branch_variant_R == variant).nonzero().squeeze(1) for variant in (1, 2))
    preference = preference_loss(log_probs, chosen, rejected, OFFICIAL_FPO)
    total = supervised.total + OFFICIAL_FPO.weight * preference.loss
    total.backward()
    return Run(case, model, frames, batch, *calls, output, state, supervised, total, log_probs, preference)


def scored_tokens(case: Case, batch: PackedBatch) -> Tensor:
    """bool [N]: tokens of the likelihood; a first token that both sides share is none."""
    is_first = torch.cat([torch.ones(1), batch.token_branch_N.diff()]) != 0
    shared = torch.tensor([shares_first_token(sample) for sample in case.samples])
    return ~(is_first & shared[batch.branch_clip_R[batch.token_branch_N]])


@each(SFT)
def test_sft_losses(case: Case) -> None:
    run, expected = run_sft(case), case.record["loss"]
    close(run.supervised.token, expected["token_ce"], **LOSSES)
    close(run.supervised.grounding, expected["grounding_bce_mean"], **LOSSES)
    close(run.supervised.consistency, expected["consistency_l1_mean"], **LOSSES)
    close(run.supervised.total, expected["total"], **LOSSES)
    close(sft_step(run.model, run.batch, OFFICIAL_SFT).loss, expected["total"], **LOSSES)


@each(FPO)
def test_fpo_losses(case: Case) -> None:
    run, expected = run_fpo(case), case.record["loss"]
    close(run.supervised.token, expected["token_ce_chosen"], **LOSSES)
    close(run.supervised.grounding, expected["grounding_bce_mean"], **LOSSES)
    close(run.supervised.consistency, expected["consistency_l1_mean"], **LOSSES)
    close(run.preference.loss, expected["dpo_mean"], **LOSSES)
    close(run.total, expected["total"], **LOSSES)


@each(FPO)
def test_fpo_log_probabilities(case: Case) -> None:
    run = run_fpo(case)
    for index, sample in enumerate(case.samples):
        expected = sample["logp"]
        chosen, rejected = 2 * index, 2 * index + 1
        for side, row in (("chosen", chosen), ("rejected", rejected)):
            close(run.log_probs.text_R[row], expected[f"{side}_text"], **LOG_PROBS)
            close(run.log_probs.grounding_R[row], expected[f"{side}_grounding"], **LOG_PROBS)
        close(run.preference.margin_P[index], case.record["beta"] * expected["margin"], **LOG_PROBS)


def in_whole_frames(case: Case) -> bool:
    """Whether every interval of a case is the same after rounding."""
    numbers = [
        number for sample in case.samples for key in ("tgt", "tgt_reject") for number in sample[key] or []
    ]
    return all(number == round(number) for number in numbers)


def shares_tokens(case: Case) -> bool:
    """Whether chosen and rejected share a token somewhere in a case."""
    return any(shares_first_token(sample) for sample in case.samples)


@each([case for case in FPO if in_whole_frames(case) and not shares_tokens(case)])
def test_the_fpo_step_adds_up_where_rounding_changes_nothing(case: Case) -> None:
    run = run_fpo(case)
    result = fpo_step(run.model, run.batch, OFFICIAL_SFT, OFFICIAL_FPO)
    close(result.loss, case.record["loss"]["total"], **LOSSES)


@each(SFT)
def test_hidden_states_and_logits(case: Case) -> None:
    run = run_sft(case)
    for index in range(len(case.samples)):
        semantic_TD = run.state.frames_semantic_BTD[index, : case.samples[index]["T"]]
        close(semantic_TD, case.of_sample(index, "h6_frames_pass1"), **SAME_STATES)
        close(
            run.hidden(index, run.model.config.match_layer),
            case.of_sample(index, "h_penult_pass2"),
            **SAME_STATES,
        )
        close(run.suffix_logits(index), case.of_sample(index, "logits_suffix"), **SAME_STATES)


@each(FPO)
def test_both_responses_have_their_logits(case: Case) -> None:
    run = run_fpo(case)
    for index, sample in enumerate(case.samples):
        logits = case.of_sample(index, "logits_suffix")
        first_response_row = sample["relative_offset"] - sample["prefix_len"] - sample["T"] + 1
        for variant, side in enumerate(("chosen", "reject"), start=1):
            of_side = run.batch.token_branch_N == 2 * index + variant - 1
            ours = run.output.token_logits_NV[of_side & scored_tokens(case, run.batch)]
            rows = torch.tensor(sample["events"][side]["text"]["input_index"])
            close(ours, logits[first_response_row + rows], **SAME_STATES)


@each(SFT)
def test_every_row_sees_what_it_saw(case: Case) -> None:
    run = run_sft(case)
    for index, sample in enumerate(case.samples):
        before, rows = sample["prefix_len"] + sample["T"], len(sample["input_ids_part2"])
        visible = torch.zeros(before + rows, before + rows, dtype=torch.bool)
        visible[:before, :before] = run.prefix.visible[index, :before, :before]
        visible[before:, :before] = run.suffix.visible[index, :rows, :before]
        own = run.prefix.visible.shape[1]
        visible[before:, before:] = run.suffix.visible[index, :rows, own : own + rows]
        assert torch.equal(visible, case.of_sample(index, "attn_visible").bool())
        assert torch.equal(run.positions(index), torch.arange(before + rows))


@each([case for case in FPO if not shares_tokens(case)])
def test_positions_restart_at_the_rejected_response(case: Case) -> None:
    run = run_fpo(case)
    for index, sample in enumerate(case.samples):
        assert run.positions(index).tolist() == sample["position_ids_full"]
        assert run.batch.suffix_ids_S[run.rows(index)].tolist() == sample["input_ids_part2"]


def check_evidence(run: Run) -> None:
    """Similarities, labels and heads of the chosen response, and what every evidence token takes on."""
    record = model_record(run.case.folder.parent)
    for index, sample in enumerate(run.case.samples):
        close(run.evi_added(index), run.case.of_sample(index, "evi_added"), **SAME_STATES)
        chosen = int((run.batch.branch_clip_R == index).nonzero()[0])
        rows = run.batch.query_branch_M == chosen
        frames = sample["T"]
        close(
            run.output.similarity_MT[rows][:, :frames], run.case.of_sample(index, "sim_logits"), **SAME_STATES
        )
        close(run.batch.query_label_MT[rows][:, :frames], run.case.of_sample(index, "soft_labels"), 1e-6, 0.0)
        queries, events = run.output.queries_MD[rows], len(pairs_of(sample["tgt"]))
        close(queries[:events], run.case.of_sample(index, "evi_head_grounding_half"), **SAME_STATES)
        close(queries[events:], run.case.of_sample(index, "evi_head_answer_half"), **SAME_STATES)
        evi = run.batch.evi_row_E[run.batch.evi_clip_E == index]
        assert set((evi - run.rows(index)[0]).tolist()) <= set(sample["evi_suffix_index"])
        assert run.batch.suffix_ids_S[evi].eq(record["evidence_token_id"]).all()


@each(SFT)
def test_evidence(case: Case) -> None:
    run = run_sft(case)
    check_evidence(run)
    before = [sample["prefix_len"] + sample["T"] for sample in case.samples]
    for index, sample in enumerate(case.samples):
        rows = run.batch.query_row_M[run.batch.query_clip_M == index] - run.rows(index)[0]
        assert (rows + before[index]).tolist() == sample["query_abs_index"]


@each(FPO)
def test_evidence_of_both_responses(case: Case) -> None:
    run = run_fpo(case)
    check_evidence(run)
    for index, sample in enumerate(case.samples):
        for variant, side in enumerate(("chosen", "rejected")):
            rows = run.batch.query_branch_M == 2 * index + variant
            ours = run.output.similarity_MT[rows][:, : sample["T"]]
            close(ours, case.of_sample(index, f"dpo_{side}_sim_logits"), **SAME_STATES)


def check_gradients(run: Run) -> None:
    expected = run.case.record["grads"]
    gradients = {name: parameter.grad for name, parameter in run.model.named_parameters()}
    assert set(gradients) == {our_name(name) for name in expected["per_parameter"]}
    for name, figures in expected["per_parameter"].items():
        gradient = gradients[our_name(name)]
        norm, total = (0.0, 0.0) if gradient is None else (gradient.norm(), gradient.sum())
        close(norm, figures["l2"], atol=1e-5, rtol=1e-3)
        # A sum cancels: its error follows the size of what is summed.
        close(total, figures["sum"], atol=1e-5 + 1e-3 * max(1.0, figures["l2"]), rtol=1e-3)
    for group, norm in expected["group_l2"].items():
        close(group_norm(run, gradients, group), norm, atol=1e-5, rtol=1e-3)
    for index, frames in enumerate(run.frames):
        close(frames.grad, run.case.of_sample(index, "grad_frame_embeds"), atol=2e-4, rtol=1e-3)


def group_norm(run: Run, gradients: dict[str, Tensor | None], group: str) -> Tensor:
    starts = (our_name(f"{group}."), our_name(f"model.{group}."))
    found = [
        gradient for name, gradient in gradients.items() if name.startswith(starts) and gradient is not None
    ]
    if group == "frame_embeddings":
        found = [frames.grad for frames in run.frames]
    return torch.stack([gradient.norm() for gradient in found]).norm() if found else torch.zeros(())


@each(SFT)
def test_sft_gradients(case: Case) -> None:
    check_gradients(run_sft(case))


@each(FPO)
def test_fpo_gradients(case: Case) -> None:
    check_gradients(run_fpo(case))
