"""What a training computes is pinned, and is the same however a step is cut and packed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.training import data, phases
from d2vlm_pipeline.training.phases import train_fpo, train_sft
from d2vlm_pipeline.training.running import Trained
from invariants import trajectories as t

KNOWN = json.loads(t.RECORD.read_text(encoding="utf-8"))
NO_DRAWS = 0.0
"""Dropout draws by place: where places change, it has to be off."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    return t.clips(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("phase", ["align", "sft", "fpo", "lora"])
def test_trajectories_are_those_on_record(shown: StoredClips, phase: str) -> None:
    """To the bit where the record was made on such a machine."""
    found = t.losses(t.phases(shown)[phase]())
    if KNOWN["platform"] == t.here():
        assert found == KNOWN["losses"][phase]
    assert found == pytest.approx(KNOWN["losses"][phase], rel=t.RELATIVE)


def trained(phase: str, shown: StoredClips, **changes: Any) -> Trained:
    given = t.config(**changes)
    if phase == "sft":
        return train_sft(t.start(NO_DRAWS), t.samples(), shown, given)
    return train_fpo(t.start(NO_DRAWS), t.samples(), t.pairs(), shown, given)


def assert_alike(one: Trained, other: Trained) -> None:
    assert t.losses(one) == pytest.approx(t.losses(other), rel=1e-4)
    theirs = other.bundle.model.state_dict()
    for name, tensor in one.bundle.model.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.fixture(scope="module")
def plain(shown: StoredClips) -> dict[str, Trained]:
    return {phase: trained(phase, shown) for phase in ("sft", "fpo")}


@pytest.mark.parametrize("phase", ["sft", "fpo"])
@pytest.mark.parametrize("way", [{"micro_batch": 1}, {"gradient_checkpointing": True}])
def test_how_a_step_is_computed_does_not_show(
    shown: StoredClips, plain: dict[str, Trained], phase: str, way: dict[str, Any]
) -> None:
    assert_alike(trained(phase, shown, **way), plain[phase])


def backwards(pack: Callable[..., Any]) -> Callable[..., Any]:
    """Clips and their branches are packed in the opposite order."""
    return lambda parts, pad_id: pack(
        [replace(part, branches=list(part.branches)[::-1]) for part in parts[::-1]], pad_id
    )


@pytest.mark.parametrize("phase", ["sft", "fpo"])
def test_the_order_in_which_a_step_is_packed_does_not_show(
    shown: StoredClips, plain: dict[str, Trained], phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "pack", backwards(data.pack))
    assert_alike(trained(phase, shown), plain[phase])


@pytest.mark.parametrize("phase", ["sft", "fpo"])
def test_a_prefix_that_branches_share_is_as_good_as_one_of_their_own(
    shown: StoredClips, plain: dict[str, Trained], phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = data.batches
    monkeypatch.setattr(phases, "batches", lambda *given, **named: batches(*given, **named | {"apart": True}))
    assert_alike(trained(phase, shown), plain[phase])


def test_the_record_is_of_the_phases_that_there_are(tmp_path: Path) -> None:
    assert set(KNOWN["losses"]) == set(t.phases(t.clips(tmp_path)))
    assert all(len(values) == t.config().steps for values in KNOWN["losses"].values())
