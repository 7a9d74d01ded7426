"""What training added to a pretrained model, stored without the model: a few megabytes instead of gigabytes.

Every phase that trained low-rank adapters left a stage. Loading repeats what the phases did to the base:
round what was held in bfloat16, add what the adapters had learned. All else that differs from the base is
stored as it is: whole tensors, or rows of the embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json
from d2vlm_pipeline.model.backbones import pretrained
from d2vlm_pipeline.model.config import CausalLMConfig, VLMConfig
from d2vlm_pipeline.model.files import read_record, read_tensors
from d2vlm_pipeline.model.tokens import evidence_token_ids

RECORD, WEIGHTS = "adapter.json", "adapter.safetensors"
_BACKBONE = "backbone."
_WHOLE, _ROWS, _IDS = "whole.", "rows.", "ids."


@dataclass(frozen=True)
class Factors:
    """A weight's change: up · down · scale."""

    up: Tensor
    down: Tensor
    scale: float

    def added_to(self, weight: Tensor) -> Tensor:
        """The weight that has learned."""
        return weight + self.up @ self.down * self.scale


@dataclass(frozen=True)
class AdapterStage:
    """What one phase did to the backbone: factors by the weight's name.

    ``is_rounded``: whether its matrices were held in bfloat16 before.
    """

    factors: Mapping[str, Factors]
    is_rounded: bool


Stages = tuple[AdapterStage, ...]


class StageRecord(StrictModel):
    """A stage without its tensors."""

    is_rounded: bool
    scales: dict[str, float]


class AdapterRecord(StrictModel):
    """The base that an adapter needs, the digest of its weights, and what was done to them."""

    base: Annotated[CausalLMConfig | VLMConfig, Field(discriminator="kind")]
    base_digest: str
    stages: list[StageRecord]


@torch.no_grad()
def apply_stages(backbone: PreTrainedModel, stages: Stages) -> None:
    """Repeat on the base what the phases did, in place."""
    parameters = dict(backbone.named_parameters())
    for stage in stages:
        if stage.is_rounded:
            for parameter in parameters.values():
                if parameter.ndim >= 2:
                    parameter.copy_(parameter.bfloat16())
        for name, factors in stage.factors.items():
            parameters[name].copy_(factors.added_to(parameters[name]))


def save_adapter(
    weights: Mapping[str, Tensor],
    base: CausalLMConfig | VLMConfig,
    stages: Stages,
    directory: Path,
) -> None:
    """Write what tells these weights of a whole model from its base, which is loaded to be compared with."""
    from safetensors.torch import save_file

    backbone, tokenizer = pretrained(base, seed=0)
    new = evidence_token_ids(tokenizer)
    record = AdapterRecord(
        base=base,
        base_digest=_digest(backbone, new),
        stages=[
            StageRecord(
                is_rounded=stage.is_rounded,
                scales={name: factors.scale for name, factors in stage.factors.items()},
            )
            for stage in stages
        ],
    )
    apply_stages(backbone, stages)
    tensors = {**_factors(stages), **_changes(weights, backbone, new)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, directory / WEIGHTS)
    (directory / RECORD).write_text(canonical_json(record.model_dump(mode="json")) + "\n", encoding="utf-8")


def load_adapter(directory: Path, moved_to: str | None) -> tuple[PreTrainedModel, Stages]:
    """The base with what the adapters had learned, and the stages; `apply_changes` does the rest.

    Raises:
        UserError: the directory is damaged, or the base is missing or another one.
    """
    record = read_record(directory / RECORD, AdapterRecord)
    base = record.base if moved_to is None else _moved(record.base, moved_to)
    try:
        backbone, tokenizer = pretrained(base, seed=0)
    except UserError as error:
        raise UserError(f"{directory} is an adapter and needs its base: {error}") from None
    found = _digest(backbone, evidence_token_ids(tokenizer))
    if found != record.base_digest:
        raise UserError(
            f"{directory}: made for other weights than those of {base.name} (sha256 {found[:12]}, not "
            f"{record.base_digest[:12]}); give it its own base, or train again with tuning.save: merged"
        )
    tensors = read_tensors(directory / WEIGHTS)
    stages = tuple(_stage(number, of_stage, tensors) for number, of_stage in enumerate(record.stages))
    apply_stages(backbone, stages)
    return backbone, stages


@torch.no_grad()
def apply_changes(state: Mapping[str, Tensor], directory: Path) -> None:
    """Write into a model's state what differs from its base other than by adapters.

    Raises:
        UserError: the changes are those of another model.
    """
    changes = read_tensors(directory / WEIGHTS)
    whole = {name.removeprefix(_WHOLE): changes[name] for name in changes if name.startswith(_WHOLE)}
    rows = {name.removeprefix(_ROWS): changes[name] for name in changes if name.startswith(_ROWS)}
    around = {name for name in state if not name.startswith(_BACKBONE)}
    misfits = [name for name in [*whole, *rows] if name not in state]
    misfits += [name for name, tensor in whole.items() if name in state and state[name].shape != tensor.shape]
    misfits += sorted(around - whole.keys())
    if misfits:
        raise UserError(f"{directory / WEIGHTS} does not fit config.json (first difference: {misfits[0]})")
    for name, tensor in whole.items():
        state[name].copy_(tensor)
    for name, tensor in rows.items():
        state[name][changes[f"{_IDS}{name}"]] = tensor


def _changes(
    weights: Mapping[str, Tensor], backbone: PreTrainedModel, new_tokens: Sequence[int]
) -> dict[str, Tensor]:
    """Tensors that are not the base's, of the embeddings the rows alone; those of new tokens always."""
    base = {f"{_BACKBONE}{name}": tensor for name, tensor in backbone.state_dict().items()}
    tables = _tables(backbone)
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.removeprefix(_BACKBONE) in tables:
            is_other = (tensor != base[name]).any(-1)
            is_other[list(new_tokens)] = True
            ids = is_other.nonzero().squeeze(1)
            found |= {f"{_ROWS}{name}": tensor[ids], f"{_IDS}{name}": ids}
        elif name not in base or not torch.equal(tensor, base[name]):
            found[f"{_WHOLE}{name}"] = tensor
    return found


def _tables(backbone: PreTrainedModel) -> set[str]:
    """Names of the input and output embeddings' weights."""
    tables = [
        table.get_parameter("weight")
        for table in (backbone.get_input_embeddings(), backbone.get_output_embeddings())
    ]
    named = backbone.named_parameters(remove_duplicate=False)
    return {name for name, parameter in named if any(parameter is table for table in tables)}


def _digest(backbone: PreTrainedModel, new_tokens: Sequence[int]) -> str:
    """SHA-256 over names, shapes and values of what was pretrained, which rows of new tokens were not."""
    sha, tables = hashlib.sha256(), _tables(backbone)
    for name, parameter in sorted(backbone.named_parameters()):
        values = parameter.detach()
        if name in tables:
            is_known = torch.ones(len(values), dtype=torch.bool)
            is_known[list(new_tokens)] = False
            values = values[is_known]
        sha.update(f"{name} {tuple(values.shape)}".encode())
        sha.update(values.contiguous().numpy().data)
    return sha.hexdigest()


def _factors(stages: Stages) -> dict[str, Tensor]:
    return {
        f"stage{number}.{part}.{name}": tensor
        for number, stage in enumerate(stages)
        for name, factors in stage.factors.items()
        for part, tensor in (("up", factors.up), ("down", factors.down))
    }


def _stage(number: int, record: StageRecord, tensors: Mapping[str, Tensor]) -> AdapterStage:
    above = f"stage{number}"
    factors = {
        name: Factors(tensors[f"{above}.up.{name}"], tensors[f"{above}.down.{name}"], scale)
        for name, scale in record.scales.items()
    }
    return AdapterStage(factors, record.is_rounded)


def _moved(base: CausalLMConfig | VLMConfig, path: str) -> CausalLMConfig | VLMConfig:
    """The base at another place."""
    settings = base.model_dump() | {"path": path, "revision": None}
    return type(base).model_validate(settings | ({"gguf": None} if "gguf" in settings else {}))
