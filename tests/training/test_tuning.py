"""What trains and what stays as it is, for every architecture and every way of tuning."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model import D2VLM, ModelBundle
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.training.config import FrozenTuning, LoraTuning, OptimConfig
from d2vlm_pipeline.training.optimiser import build_optimiser
from d2vlm_pipeline.training.steps import sft_step
from d2vlm_pipeline.training.tuning import adapter_targets, is_adapter, tuned
from model.pretrained import ARCHITECTURES, fresh, outputs, two_clips, write_pretrained

Tuning = FrozenTuning | LoraTuning
WAYS: list[Tuning] = [
    LoraTuning(rank=2, alpha=4, dropout=0.0, targets="attention", embeddings="new_tokens"),
    LoraTuning(rank=2, alpha=4, dropout=0.0, targets="linear", embeddings="all"),
    LoraTuning(rank=2, alpha=4, dropout=0.0, targets="attention", embeddings="none"),
    FrozenTuning(embeddings="new_tokens"),
    FrozenTuning(embeddings="none"),
]
PER_LAYER = {  # attention, linear
    "llama": (4, 7),
    "qwen3": (4, 7),
    "phi3": (2, 4),
    "gemma3_text": (4, 7),
    "smollm3": (4, 7),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp(request.param), request.param)


def state(model: D2VLM) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def train(bundle: ModelBundle, config: Tuning, steps: int = 3) -> None:
    """A few large steps with weight decay."""
    optimiser = build_optimiser(bundle.model, OptimConfig(learning_rate=0.05, weight_decay=0.5))
    given = two_clips(bundle)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        sft_step(bundle.model, given, SFTConfig()).loss.backward()
        optimiser.step()


@pytest.mark.parametrize("config", WAYS, ids=str)
def test_gradients_reach_every_group_that_trains_and_no_frozen_one(home: Path, config: Tuning) -> None:
    bundle = fresh(home)
    with tuned(bundle.model, config, evidence_token_ids(bundle.tokenizer), seed=0):
        train(bundle, config, steps=1)  # an adapter's first matrix has no gradient while its second is zero
        bundle.model.zero_grad(set_to_none=True)
        sft_step(bundle.model, two_clips(bundle), SFTConfig()).loss.backward()
        for name, parameter in bundle.model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
            if parameter.grad is not None:
                assert float(parameter.grad.abs().max()) > 0, name
        trained = [name for name, p in bundle.model.named_parameters() if p.requires_grad]
    inside = [name for name in trained if name.startswith("backbone.")]
    assert {name.split(".")[0] for name in trained} - {"backbone"} == {"projector", "query_head", "key_head"}
    attention, linear = PER_LAYER[home.name]
    if isinstance(config, LoraTuning):
        maps = 4 * (attention if config.targets == "attention" else linear)
        assert sum(map(is_adapter, inside)) == 2 * maps
    tables = [name for name in inside if not is_adapter(name)]
    ends = {"all": ".weight", "new_tokens": ".rows_KD", "none": ""}[config.embeddings]
    assert all(name.endswith(ends) for name in tables)
    is_tied = home.name in ("qwen3", "gemma3_text", "smollm3")
    assert len(tables) == (0 if config.embeddings == "none" else 1 if is_tied else 2)


@pytest.mark.parametrize("config", WAYS, ids=str)
def test_what_is_frozen_keeps_every_bit_and_the_rest_moves(home: Path, config: Tuning) -> None:
    bundle = fresh(home)
    before = state(bundle.model)
    new = evidence_token_ids(bundle.tokenizer)
    with tuned(bundle.model, config, new, seed=0):
        train(bundle, config)
    after = state(bundle.model)
    assert list(before) == list(after)
    old = [row for row in range(len(bundle.tokenizer)) if row not in new]
    targets = adapter_targets(bundle.model.backbone, config.targets) if isinstance(config, LoraTuning) else []
    adapted = {f"backbone.{name}.weight" for name in targets}
    for name, tensor in after.items():
        moved = ~torch.isclose(tensor, before[name], atol=0.0, rtol=0.0)
        if "embed_tokens" in name or "lm_head" in name:
            assert bool(moved[old].any()) == (config.embeddings == "all"), name
            assert bool(moved[new].any()) == (config.embeddings != "none"), name
        else:
            is_trained = not name.startswith("backbone.") or name in adapted
            assert bool(moved.any()) == is_trained, name


@pytest.mark.parametrize("config", WAYS, ids=str)
def test_the_folded_model_says_what_the_tuned_one_said(home: Path, config: Tuning) -> None:
    bundle = fresh(home)
    with tuned(bundle.model, config, evidence_token_ids(bundle.tokenizer), seed=0):
        train(bundle, config)
        bundle.model.eval()
        inside = outputs(bundle, two_clips(bundle))
    for one, other in zip(inside, outputs(bundle, two_clips(bundle)), strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)
    assert all(parameter.requires_grad for parameter in bundle.model.parameters())
    assert "peft_config" not in vars(bundle.model.backbone)


@pytest.mark.parametrize("config", [WAYS[0], WAYS[3]], ids=str)
def test_before_the_first_step_a_tuned_model_is_the_plain_one(home: Path, config: Tuning) -> None:
    bundle = fresh(home)
    plain = outputs(bundle, two_clips(bundle))
    with tuned(bundle.model, config, evidence_token_ids(bundle.tokenizer), seed=0):
        for one, other in zip(plain, outputs(bundle, two_clips(bundle)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_rows_of_new_tokens_get_the_gradient_they_get_among_all(home: Path) -> None:
    """A table of its own changes nothing for the rows that train, scaled and tied embeddings included."""
    found: list[dict[str, Tensor]] = []
    for config in (FrozenTuning(embeddings="all"), FrozenTuning(embeddings="new_tokens")):
        bundle = fresh(home)
        new = evidence_token_ids(bundle.tokenizer)
        with tuned(bundle.model, config, new, seed=0):
            sft_step(bundle.model, two_clips(bundle), SFTConfig()).loss.backward()
            gradients = {
                name: p.grad for name, p in bundle.model.backbone.named_parameters() if p.grad is not None
            }
        found.append({name.split(".")[-2]: grad for name, grad in gradients.items()})
    whole, rows = found
    assert whole.keys() == rows.keys()
    for name, gradient in rows.items():
        torch.testing.assert_close(gradient, whole[name][new], atol=1e-4, rtol=1e-3)


def test_adapters_follow_from_their_seed_alone(tmp_path: Path) -> None:
    bundle = fresh(write_pretrained(tmp_path, "llama"))

    def drawn(seed: int) -> list[float]:
        with tuned(bundle.model, WAYS[0], evidence_token_ids(bundle.tokenizer), seed):
            return next(p for n, p in bundle.model.named_parameters() if is_adapter(n)).flatten().tolist()

    torch.manual_seed(5)
    first, random = drawn(1), torch.get_rng_state()
    torch.rand(9)
    assert drawn(1) == first != drawn(2)
    torch.manual_seed(5)
    drawn(1)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_backbone_without_linear_maps_is_told_apart(tmp_path: Path) -> None:
    bundle = fresh(write_pretrained(tmp_path, "llama"))
    for layer in bundle.model.backbone.base_model.layers:
        layer.self_attn = torch.nn.Identity()
    with (
        pytest.raises(UserError, match=r"LlamaForCausalLM .* set it to linear"),
        tuned(bundle.model, WAYS[0], [], seed=0),
    ):
        pass


class _Interrupted(Exception):
    pass


@pytest.mark.parametrize("config", [WAYS[0], WAYS[3]], ids=str)
def test_a_phase_that_fails_leaves_a_plain_model_that_can_be_tuned_again(
    home: Path, config: Tuning
) -> None:
    bundle = fresh(home)
    new, plain = evidence_token_ids(bundle.tokenizer), list(state(bundle.model))
    with pytest.raises(_Interrupted), tuned(bundle.model, config, new, seed=0) as learned:
        train(bundle, config)
        bundle.model.eval()
        inside = outputs(bundle, two_clips(bundle))
        raise _Interrupted
    assert list(state(bundle.model)) == plain
    assert bool(learned) == isinstance(config, LoraTuning)
    assert all(parameter.requires_grad for parameter in bundle.model.parameters())
    for one, other in zip(inside, outputs(bundle, two_clips(bundle)), strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)
    with tuned(bundle.model, config, new, seed=0):
        train(bundle, config, steps=1)


def test_a_model_that_cannot_be_tuned_stays_as_it_was(tmp_path: Path) -> None:
    bundle = fresh(write_pretrained(tmp_path, "llama"))

    bundle.model.backbone.set_output_embeddings(torch.nn.Sequential(torch.nn.Linear(8, 8)))
    plain = state(bundle.model)
    with pytest.raises(UserError, match="not plain tables"), tuned(bundle.model, WAYS[0], [1], seed=0):
        pass
    after = state(bundle.model)
    assert list(after) == list(plain)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in after.items())
    assert all(parameter.requires_grad for parameter in bundle.model.parameters())
