"""Which weights of a model train: all, low-rank adapters, or what lies around a frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.adapter import Factors
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.tables import put_rows_back, train_rows
from d2vlm_pipeline.training.config import Embeddings, FrozenTuning, FullTuning, LoraTuning

_ADAPTER = "default"


@contextmanager
def tuned(
    model: D2VLM, config: FullTuning | FrozenTuning | LoraTuning, new_tokens: Sequence[int], seed: int
) -> Iterator[dict[str, Factors]]:
    """Inside the block the configured weights train; behind it the model is the plain one, having learned.

    What it yields then holds what adapters have added, by the weight's name. A block that fails leaves a
    plain model, too: with what it had learned until then.

    Args:
        model: changed in place.
        config: what trains.
        new_tokens: ids of the tokens that no pretraining has taught.
        seed: of the adapters' weights.

    Raises:
        UserError: the backbone has no linear map of the kind that adapters are wanted for.
    """
    learned: dict[str, Factors] = {}
    if isinstance(config, FullTuning):
        yield learned
        return
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        _prepare(model, config, new_tokens, seed)
        yield learned
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        put_rows_back(model.backbone)
        if isinstance(config, LoraTuning):
            learned |= _fold_adapters(model.backbone)


def _prepare(model: D2VLM, config: FrozenTuning | LoraTuning, new_tokens: Sequence[int], seed: int) -> None:
    """Freeze the backbone, add what trains in it."""
    model.backbone.requires_grad_(False)
    if isinstance(config, LoraTuning):
        _add_adapters(model.backbone, config, seed)
    _open_embeddings(model.backbone, config.embeddings, new_tokens)


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name belongs to a low-rank adapter."""
    return ".lora_A." in name or ".lora_B." in name


def adapter_targets(backbone: PreTrainedModel, targets: str) -> list[str]:
    """Full names of the linear maps that adapters go to, found by the types of the decoder's modules.

    Raises:
        UserError: there is none.
    """
    layers = backbone.base_model.get_submodule("layers")
    above = next(name for name, module in backbone.named_modules() if module is layers)
    found = [f"{above}.{name}" for name in _linear_maps(layers, targets)]
    if not found:
        raise UserError(
            f"tuning.targets {targets}: {type(backbone).__name__} has no such linear map; set it to linear, "
            "or tuning.kind to full"
        )
    return found


def _linear_maps(layers: nn.Module, targets: str) -> Iterator[str]:
    """Names below the layers."""
    tops = [
        name
        for name, module in layers.named_modules()
        if targets == "linear" or type(module).__name__.endswith("Attention")
    ]
    for name, module in layers.named_modules():
        if isinstance(module, nn.Linear) and any(name.startswith(f"{top}." if top else "") for top in tops):
            yield name


def _add_adapters(backbone: PreTrainedModel, config: LoraTuning, seed: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    adapters = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=config.dropout,
        target_modules=adapter_targets(backbone, config.targets),
        bias="none",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(adapters, backbone, _ADAPTER)


@torch.no_grad()
def _fold_adapters(backbone: PreTrainedModel) -> dict[str, Factors]:
    """Add what the adapters have learned to the weights, and put the plain modules back."""
    from peft.tuners.lora import LoraLayer

    found: dict[str, Factors] = {}
    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoraLayer):
            base, scale = module.get_base_layer(), float(module.scaling[_ADAPTER])
            up, down = (part.get_parameter(f"{_ADAPTER}.weight") for part in (module.lora_B, module.lora_A))
            factors = Factors(up.detach(), down.detach(), scale)
            weight = base.get_parameter("weight")
            weight.copy_(factors.added_to(weight))
            backbone.set_submodule(name, base)
            found[f"{name}.weight"] = factors
    # Left there, the next phase's adapters would be taken for second ones.
    vars(backbone).pop("peft_config", None)
    return found


def _open_embeddings(backbone: PreTrainedModel, which: Embeddings, new_tokens: Sequence[int]) -> None:
    if which == "new_tokens":
        train_rows(backbone, new_tokens)
    elif which == "all":
        for table in (backbone.get_input_embeddings(), backbone.get_output_embeddings()):
            table.requires_grad_(True)
