"""What worker 0 hands back is the model it trained, to the bit, whatever the phase left of it."""

import copy
from dataclasses import replace
from pathlib import Path

import torch

from d2vlm_pipeline.model.adapter import AdapterStage, Factors
from d2vlm_pipeline.training.curve import Curve
from d2vlm_pipeline.training.distributed.handover import load_trained, save_trained
from d2vlm_pipeline.training.running import Trained
from training.test_phases import start, weights

POINTS = [{"step": 1.0, "loss": 0.1 + 0.2}]


def test_weights_curve_and_adapters_come_back_as_they_were(tmp_path: Path) -> None:
    begun = start()
    model = copy.deepcopy(begun.model)
    moved = [parameter for _, parameter in zip(range(3), model.parameters(), strict=False)]
    with torch.no_grad():
        for parameter in moved:
            parameter.add_(1 / 3)
    factors = {"a.weight": Factors(torch.rand(4, 2).T, torch.rand(2, 4), 0.3)}
    bundle = replace(begun, model=model, stages=(AdapterStage(factors, is_rounded=True),))
    save_trained(Trained(bundle, Curve(POINTS)), begun, tmp_path / "trained")
    found = load_trained(begun, tmp_path / "trained")
    assert weights(found.bundle) == weights(bundle) != weights(begun)
    assert found.curve == Curve(POINTS) and not found.bundle.model.training
    assert found.bundle.stages is not None
    (stage,) = found.bundle.stages
    assert stage.is_rounded and stage.factors["a.weight"].scale == 0.3
    assert torch.equal(stage.factors["a.weight"].up, factors["a.weight"].up)
    assert torch.equal(stage.factors["a.weight"].down, factors["a.weight"].down)


def test_a_model_without_adapters_has_none_behind_it(tmp_path: Path) -> None:
    begun = start()
    save_trained(Trained(begun, Curve(POINTS)), begun, tmp_path / "trained")
    found = load_trained(begun, tmp_path / "trained").bundle
    assert found.stages is None and weights(found) == weights(begun)
