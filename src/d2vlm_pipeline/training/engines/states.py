"""What a process holds of a phase, as files: the weights that train, the optimiser's states, the schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json
from d2vlm_pipeline.model.files import read_record, read_tensors

_WEIGHTS, _OPTIMISER, _SCHEDULE = "weights.safetensors", "optimiser.safetensors", "schedule.json"


class ScheduleRecord(StrictModel):
    """Where a schedule stands: steps taken, and every group's rate for the next one."""

    steps: int
    rates: list[float]


def save_states(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: LambdaLR) -> None:
    """Write what training changes: frozen weights are the start model's, and stay there."""
    from safetensors.torch import save_file

    save_file(_stored(trained_tensors(model)), folder / _WEIGHTS)
    save_file(_stored(_optimiser_tensors(model, optimiser)), folder / _OPTIMISER)
    record = ScheduleRecord(steps=schedule.last_epoch, rates=list(map(float, schedule.get_last_lr())))
    (folder / _SCHEDULE).write_text(canonical_json(record) + "\n", encoding="utf-8")


def load_states(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: LambdaLR) -> None:
    """Take up what `save_states` wrote.

    Raises:
        UserError: it is another model's, or cannot be read.
    """
    weights = read_tensors(folder / _WEIGHTS)
    own = trained_tensors(model)
    if {name: found.shape for name, found in weights.items()} != {name: of.shape for name, of in own.items()}:
        raise UserError(f"{folder / _WEIGHTS}: weights of another model; delete {folder.parent}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
    _fill_optimiser(model, optimiser, read_tensors(folder / _OPTIMISER))
    record = read_record(folder / _SCHEDULE, ScheduleRecord)
    schedule.last_epoch, schedule._last_lr = record.steps, list(record.rates)
    for group, rate in zip(optimiser.param_groups, record.rates, strict=True):
        group["lr"] = rate


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What training may change, by name: parameters that train, and buffers that are part of the model."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    stored = model.state_dict(keep_vars=True)
    return {**trained, **{name: buffer for name, buffer in model.named_buffers() if name in stored}}


def _optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """States of every parameter as `name:state`; those of a parameter without gradient do not exist yet."""
    return {
        f"{name}:{kind}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimiser.state.get(parameter, {}).items()
    }


def _fill_optimiser(
    model: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition(":")
        states.setdefault(name, {})[kind] = value
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    in_order = [names[id(parameter)] for group in optimiser.param_groups for parameter in group["params"]]
    found: dict[str, Any] = {
        "state": {place: states[name] for place, name in enumerate(in_order) if name in states},
        "param_groups": optimiser.state_dict()["param_groups"],
    }
    optimiser.load_state_dict(found)


def _stored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
