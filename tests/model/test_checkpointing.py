"""Layers that compute again what they did not keep give the same losses and the same gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.model import D2VLM
from d2vlm_pipeline.model.checkpointing import checkpointed
from d2vlm_pipeline.model.packing import PackedBatch, pack
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import LoraTuning
from d2vlm_pipeline.training.steps import fpo_step, sft_step
from d2vlm_pipeline.training.tuning import tuned
from model import tiny
from model.pretrained import ARCHITECTURES, fresh, two_clips, write_pretrained

Found = tuple[Tensor, dict[str, Tensor]]


def pairs() -> PackedBatch:
    return pack(
        [tiny.clip_of(tiny.features(8), [tiny.pair_branch("dvc", 8)]), tiny.clip(5, ("tvg", "dvc"))], 0
    )


def found(model: D2VLM, step: Callable[[], StepResult], on: bool) -> Found:
    """Loss and gradients of a step; the same dropout is drawn every time."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    with checkpointed(model.layers if on else []):
        loss = step().loss
        loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(one: Found, other: Found) -> None:
    torch.testing.assert_close(one[0], other[0], atol=0.0, rtol=0.0)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("match_layer", [-1, -2])
def test_losses_and_gradients_are_the_same(complete: bool, match_layer: int) -> None:
    model = tiny.model(match_layer=match_layer)
    model.complete_prefix = complete

    def step() -> StepResult:
        return fpo_step(model, pairs(), SFTConfig(), FPOConfig())

    assert_same(found(model, step, on=False), found(model, step, on=True))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp(request.param), request.param)


def test_adapters_with_dropout_train_the_same_in_every_architecture(home: Path) -> None:
    bundle = fresh(home)
    model = bundle.model.train()
    given = two_clips(bundle)
    config = LoraTuning(rank=2, dropout=0.3, targets="linear")
    with tuned(model, config, evidence_token_ids(bundle.tokenizer), seed=0):
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)

        def step() -> StepResult:
            return sft_step(model, given, SFTConfig())

        plain = found(model, step, on=False)
        assert_same(plain, found(model, step, on=True))
        torch.manual_seed(4)
        assert not torch.equal(step().loss, plain[0])  # the dropout was there


@contextmanager
def kept_bytes() -> Iterator[list[int]]:
    """Sizes of all tensors that are kept for the backward pass, each storage once."""
    sizes: dict[int, int] = {}
    total: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield total
    total.append(sum(sizes.values()))


def test_far_less_is_kept_for_the_backward_pass() -> None:
    model = tiny.model()
    own = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    kept = []
    for layers in ([], model.layers):
        with checkpointed(layers), kept_bytes() as total:
            model(pairs())
        kept.append(total[0] - sum(own.values()))
    plain, less = kept
    assert less < 0.4 * plain


def test_behind_the_block_layers_are_what_they_were() -> None:
    model = tiny.model()
    with checkpointed(model.layers):
        assert all("forward" in vars(layer) for layer in model.layers)
    assert not any("forward" in vars(layer) for layer in model.layers)


def test_without_gradients_nothing_is_computed_twice() -> None:
    model = tiny.model()
    with torch.no_grad(), checkpointed(model.layers):
        inside = model(pairs())[0].token_logits_NV
    with torch.no_grad():
        torch.testing.assert_close(inside, model(pairs())[0].token_logits_NV, atol=0.0, rtol=0.0)
