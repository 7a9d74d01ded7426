"""Span selection and cached decoding give what the official code gave, on its weights and inputs."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from conformance.golden import (
    SAME_STATES,
    BackboneCall,
    Case,
    close,
    each,
    find_cases,
    model_record,
    official_model,
    pairs_of,
    places,
    recorded_calls,
)
from d2vlm_pipeline.model.evidence import row_similarity
from d2vlm_pipeline.model.generate import (
    AdjustLogits,
    Generated,
    PromptClip,
    PromptQuestion,
    generate,
    read_clips,
)
from d2vlm_pipeline.model.packing import FRAME_SLOT, Prefix
from d2vlm_pipeline.model.spans import best_run_span, interval_confidence, select_span
from d2vlm_pipeline.objectives import official_spans

GENERATION, SPANS = find_cases("generation"), find_cases("span_selection")


@each(SPANS)
def test_span_selection(case: Case) -> None:
    for number, vector in enumerate(case.record["vectors"]):
        scores = case.tensors[f"v{number:02d}"].numpy()
        assert list(best_run_span(scores, 0.6)) == vector["interval"], vector["name"]


@dataclass(frozen=True)
class Decoded:
    """One answer with the logits of every step."""

    answer: Generated
    logits: list[Tensor]
    calls: list[BackboneCall]


def prompt_of(case: Case, index: int) -> tuple[PromptClip, PromptQuestion]:
    frames_TD, ids = case.tensors["frame_embeds"], case.record["prompt_ids"]
    record = model_record(case.folder.parent)
    at = ids.index(record["image_placeholder_id"])
    asked, src = ids[at + 1 :], case.record["src"] or []
    # A single time in the question stands for one frame.
    spans = official_spans([(src[0], src[0])] if len(src) == 1 else pairs_of(src), len(frames_TD))
    evi = places(asked, record["evidence_token_id"])[: len(spans)]
    clip = PromptClip(Prefix([*ids[:at], *[FRAME_SLOT] * len(frames_TD)]), frames_TD[:, None])
    return clip, PromptQuestion(index, asked, evi, spans)


def decode(cases: list[Case]) -> list[Decoded]:
    """Answer all cases as one batch."""
    changed = (
        {"lm_head.weight": cases[0].tensors["lm_head_weight"]} if "lm_head_weight" in cases[0].tensors else {}
    )
    model = official_model(cases[0].folder.parent, changed)
    record = model_record(cases[0].folder.parent)
    clips, questions = zip(*(prompt_of(case, index) for index, case in enumerate(cases)), strict=True)
    steps: list[Tensor] = []
    with recorded_calls(model) as calls:
        most = max(case.record["max_new_tokens"] for case in cases)
        adjust = forced(cases, steps)
        answers = generate(
            model,
            read_clips(model, clips),
            questions,
            record["evidence_token_id"],
            record["end_token_id"],
            most,
            adjust,
        )
    return [Decoded(answer, [logits[row] for logits in steps], calls) for row, answer in enumerate(answers)]


def forced(cases: list[Case], steps: list[Tensor]) -> AdjustLogits:
    """Keeps the logits of every step, and puts scheduled tokens first."""

    def adjust(step: int, logits_QV: Tensor) -> Tensor:
        steps.append(logits_QV.clone())
        adjusted = logits_QV.clone()
        for row, case in enumerate(cases):
            schedule = case.record["forced_schedule"] or {}
            if str(step) in schedule:
                adjusted[row, schedule[str(step)]] += 1000.0
        return adjusted

    return adjust


def check_decoded(case: Case, decoded: Decoded) -> None:
    end = [model_record(case.folder.parent)["end_token_id"]] if decoded.answer.finished else []
    assert [*decoded.answer.token_ids, *end] == case.record["produced_ids"]
    spans = [[span.first, span.last] for span in decoded.answer.spans]
    assert spans == case.record["intervals_at_evi"]
    steps = len(case.tensors["step_logits"])
    close(torch.stack(decoded.logits[:steps]), case.tensors["step_logits"], **SAME_STATES)


@each(GENERATION)
def test_generation(case: Case) -> None:
    check_decoded(case, decode([case])[0])


@each(GENERATION)
def test_every_step_of_generation(case: Case) -> None:
    decoded = decode([case])[0]
    model = official_model(case.folder.parent)
    config = model.config
    frames = case.record["prefix_len"] + torch.arange(case.record["T"])
    close(
        decoded.calls[0].hidden[config.semantic_layer][0, frames],
        case.tensors["h6_frames_prefill"],
        **SAME_STATES,
    )
    match = torch.cat([call.hidden[config.match_layer][0] for call in decoded.calls])
    close(match, case.tensors["h_penult_all_steps"], **SAME_STATES)
    steps = len(case.tensors["step_logits"])
    with torch.inference_mode():
        keys = model.key_head(match[frames]).expand(steps, -1, -1)
        logits = row_similarity(model.query_head(match[len(match) - steps :]), keys)
    close(torch.sigmoid(logits), case.tensors["step_sim"], **SAME_STATES)
    found = [list(select_span(row, config.span)) for row in logits.numpy()]
    assert found == case.record["intervals_every_step"]
    sure = [interval_confidence(logits[step].numpy(), *found[step]) for step in case.record["evi_steps"]]
    np.testing.assert_allclose([span.confidence for span in decoded.answer.spans], sure, atol=1e-5)


# Cases of one model; each comes twice, so that a single case makes a batch, too.
BATCHES = [[case for case in GENERATION if "lm_head_weight" not in case.tensors] * 2]


@pytest.mark.parametrize("cases", [batch for batch in BATCHES if batch])
def test_generation_in_one_batch(cases: list[Case]) -> None:
    for case, decoded in zip(cases, decode(cases), strict=True):
        check_decoded(case, decoded)
