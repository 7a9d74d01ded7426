"""Both ways to answer say the same, and what a second question costs is its own tokens."""

import pytest
import torch
from benchmarks.generate import (
    EVI_STEPS,
    TOKENS,
    check_answers,
    evidence_share,
    ours,
    second_question,
    theirs,
)
from benchmarks.workload import EVI, Shape, build, examples

from benchmarks import generate as bench

SHAPE = Shape(
    frames=20, question=5, response=18, batch=3, events=2, hidden=32, layers=4, heads=4, vocabulary=60
)


def test_tokens_and_intervals_agree() -> None:
    model, given = build(SHAPE), examples(SHAPE)
    check_answers(model, given)
    for answer, (tokens, spans) in zip(ours(model, given), theirs(model, given), strict=True):
        assert [step for step, token in enumerate(tokens) if token == EVI] == list(EVI_STEPS)
        assert len(answer.token_ids) == TOKENS and len(spans) == len(answer.spans) == len(EVI_STEPS)
    assert len(EVI_STEPS) >= 0.2 * TOKENS


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = build(SHAPE), examples(SHAPE)
    other = examples(SHAPE, seed=1)
    monkeypatch.setattr(bench, "theirs", lambda model, _: theirs(model, other))
    with pytest.raises(AssertionError, match="different answers"):
        check_answers(model, given)


def test_a_second_question_costs_its_own_tokens() -> None:
    cost = second_question(build(SHAPE), examples(SHAPE))
    assert cost["first_gflop"] == pytest.approx(cost["read_gflop"] + cost["second_gflop"])
    assert cost["read_gflop"] > 0 and cost["second_gflop"] > 0


def test_the_share_of_evidence_is_a_share() -> None:
    torch.set_num_threads(1)
    assert 0 < evidence_share(build(SHAPE), examples(SHAPE), 1) < 1
