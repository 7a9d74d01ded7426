"""The yardstick computes what our step computes: a comparison of speed means something."""

import pytest
import torch
from benchmarks.memory import peak_bytes
from benchmarks.minimum import least_flops
from benchmarks.timing import interleaved
from benchmarks.train_step import Case, cases, flops, stepped
from benchmarks.workload import Shape, build, examples, packed
from torch import Tensor

from benchmarks import published
from d2vlm_pipeline.model.branches import ATTENTION
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.objectives import official_labels

SHAPE = Shape(
    frames=20, question=5, response=18, batch=3, events=2, hidden=32, layers=4, heads=4, vocabulary=60
)


def gradients(model: D2VLM, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("how", ["loops", "vectorised"])
@pytest.mark.parametrize("case", cases(SHAPE), ids=lambda case: case.name)
def test_losses_and_gradients_agree(case: Case, how: str) -> None:
    model = build(SHAPE)
    mine = case.ours(model)
    model.backbone.set_attn_implementation("eager")
    theirs = case.theirs(model)[how]()
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    left, right = gradients(model, mine), gradients(model, theirs)
    for name, gradient in left.items():
        torch.testing.assert_close(gradient, right[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("case", cases(SHAPE), ids=lambda case: case.name)
def test_a_step_computes_hardly_more_than_it_must(case: Case) -> None:
    model = build(SHAPE)
    run = stepped(model, lambda: case.ours(model), ATTENTION)
    least = least_flops(model, packed(case.examples, case.share_clip))
    # At this size attention counts for more, and with it pairs that are computed to be masked.
    assert 1.0 <= flops(run) / least < 1.15
    published = stepped(model, case.theirs(model)["vectorised"], "eager")
    assert flops(published) > 1.25 * flops(run)
    assert peak_bytes(run) < peak_bytes(published)


def test_bytes_are_those_alive_at_once() -> None:
    def run() -> Tensor:
        first = torch.zeros(1000)
        second = first + 1
        del first
        return second.view(10, 100) * 2

    assert peak_bytes(run) == 8000


def test_labels_are_the_official_ones_either_way() -> None:
    (example, *_) = examples(SHAPE)
    events = example.answers[0].events
    expected = official_labels(events, SHAPE.frames, 2.0, rounded=True)
    for labels in (published._looped, published._vectorised):
        torch.testing.assert_close(labels(events, SHAPE.frames), expected)


def test_alternatives_are_timed_in_turn_after_a_warm_up() -> None:
    seen: list[str] = []
    found = interleaved({"one": lambda: seen.append("one"), "two": lambda: seen.append("two")}, 3)
    assert seen == ["one", "two"] * 4
    assert set(found) == {"one", "two"} and all(seconds >= 0 for seconds in found.values())
