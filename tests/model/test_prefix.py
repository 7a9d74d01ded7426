"""The pass over the prefix leaves out what nobody reads, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import pack
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.training.steps import sft_step
from model import tiny


def batch() -> object:
    return pack([tiny.clip(8), tiny.clip(5, ("tvg", "dvc"))], 0)


def gradients(model: D2VLM) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    sft_step(model, batch(), SFTConfig()).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_losses_and_gradients_are_those_of_the_complete_pass() -> None:
    model = tiny.model()
    short = gradients(model)
    model.complete_prefix = True
    whole = gradients(model)
    assert short.keys() == whole.keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in short.items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-6, rtol=1e-5)


def test_semantic_layer_0_lends_evidence_what_frames_were_projected_to() -> None:
    model, packed = tiny.model(semantic_layer=0), pack([tiny.clip(8)], 0)
    with torch.no_grad():
        _, state = model(packed)
    torch.testing.assert_close(state.frames_semantic_BTD, state.frames_in_BTD)
    short = gradients(model)
    model.complete_prefix = True
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, short[name], atol=1e-6, rtol=1e-5)


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[int]]:
    """Positions that the module was given, call by call."""
    seen: list[int] = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    yield seen
    handle.remove()


@pytest.mark.parametrize("complete", [False, True])
def test_only_branches_pass_the_last_layer_s_mlp(complete: bool) -> None:
    model = tiny.model()
    model.complete_prefix = complete
    layers = model.backbone.base_model.layers
    with calls_of(layers[-1].mlp) as last, calls_of(layers[0].mlp) as first, torch.no_grad():
        model(batch())
    assert len(first) == 2
    assert last == (first if complete else first[1:])


def test_a_state_behind_the_last_layer_needs_the_whole_pass() -> None:
    model = tiny.model(match_layer=-1)
    with calls_of(model.backbone.base_model.layers[-1].mlp) as last, torch.no_grad():
        _, state = model(batch())
    assert len(last) == 2
    # The last hidden state is normed; what the layer before it gives is not.
    before = tiny.model(match_layer=-2)
    with torch.no_grad():
        _, other = before(batch())
    assert not torch.allclose(state.frames_match_BTD, other.frames_match_BTD)


def test_nothing_is_left_hooked() -> None:
    model = tiny.model()
    with torch.no_grad():
        model(batch())
    assert not any(layer._forward_pre_hooks for layer in model.backbone.base_model.layers)
