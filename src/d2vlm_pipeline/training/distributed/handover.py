"""What worker 0 hands back: the weights that training moved, as files that the run's own process reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from d2vlm_pipeline.model.adapter import AdapterStage, Factors
from d2vlm_pipeline.model.bundle import ModelBundle
from d2vlm_pipeline.training.curve import Curve

if TYPE_CHECKING:
    from d2vlm_pipeline.training.running import Trained

_WEIGHTS, _FACTORS, _RECORD = "weights.safetensors", "factors.safetensors", "trained.json"


def save_trained(trained: Trained, start: ModelBundle, folder: Path) -> None:
    """Write what tells the trained model from the one it started from, and its curve.

    Nobody reads the folder before the worker has returned: it needs no care against a death in between.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    before = start.model.state_dict()
    # Copies: tied weights are one tensor under two names, which the format refuses.
    moved = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in trained.bundle.model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    save_file(moved, folder / _WEIGHTS)
    new = trained.bundle.stages[-1] if trained.bundle.stages else None
    if new is not None:
        sides = {
            f"{name}.{side}": getattr(factors, side).clone(memory_format=torch.contiguous_format)
            for name, factors in new.factors.items()
            for side in ("up", "down")
        }
        save_file(sides, folder / _FACTORS)
    record = {
        "points": trained.curve.points,
        "is_rounded": None if new is None else new.is_rounded,
        "scales": {} if new is None else {name: factors.scale for name, factors in new.factors.items()},
    }
    (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")


def load_trained(start: ModelBundle, folder: Path) -> Trained:
    """The trained model, made of the one it started from, and its curve."""
    from safetensors.torch import load_file

    from d2vlm_pipeline.training.running import Trained

    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    model = copy.deepcopy(start.model)
    model.load_state_dict(load_file(folder / _WEIGHTS), strict=False)
    model.eval()
    stages = None
    if record["is_rounded"] is not None:
        sides = load_file(folder / _FACTORS)
        factors = {
            name: Factors(sides[f"{name}.up"], sides[f"{name}.down"], scale)
            for name, scale in record["scales"].items()
        }
        stages = (*(start.stages or ()), AdapterStage(factors, record["is_rounded"]))
    bundle = ModelBundle(model, start.tokenizer, start.contract, stages=stages)
    return Trained(bundle, Curve(record["points"]))
