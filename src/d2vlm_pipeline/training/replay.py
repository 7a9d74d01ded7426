"""A step that went wrong, saved so that it can be run again: batch, weights, random state, configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import (
    StrictModel,
    UserError,
    atomic_directory,
    canonical_json,
    validation_reason,
    verify,
)
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.io import load_structure, save_structure
from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.training.align import AlignBatch
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.loop import Trouble
from d2vlm_pipeline.training.precision import Compute

_RECORD, _BATCH = "step.json", "batch.safetensors"
_WEIGHTS, _REFERENCE = "weights.safetensors", "reference.safetensors"
_RANDOM = "random_state"
_BATCHES: dict[str, type[PackedBatch] | type[AlignBatch]] = {
    kind.__name__: kind for kind in (PackedBatch, AlignBatch)
}

_Record = TypeVar("_Record")


class StepRecord(StrictModel):
    """What a saved step was part of.

    Attributes:
        phase: Name of the phase.
        step: Number of the step, from 1.
        reason: Why it stopped: "the loss is nan".
        device: Where it ran.
        dtype: Of its matrix products.
        new_tokens: Ids whose embeddings may train by themselves.
        config: The phase's configuration, its seed included.
        batch: Kind of batch.
        plain: What each of the step's batches holds besides tensors.
        has_reference: Whether there was a reference model.
    """

    phase: str
    step: int
    reason: str
    device: str
    dtype: Literal["float32", "bfloat16"]
    new_tokens: list[int]
    config: TrainConfig
    batch: str
    plain: list[dict[str, Any]]
    has_reference: bool


@dataclass(frozen=True)
class SavedStep:
    """A saved step, read back; weights are yet to be filled into the model, once what trains is in it."""

    record: StepRecord
    model: D2VLM
    weights: dict[str, Tensor]
    reference: D2VLM | None
    batches: list[PackedBatch | AlignBatch]
    random_state: Tensor

    def fill(self) -> None:
        """Give the model the weights of that moment.

        Raises:
            UserError: they are not the model's.
        """
        _fill(self.model, self.weights)

    def tensors(self) -> list[tuple[str, Tensor]]:
        """Tensors of the batches by name; where there are several, numbered from 1."""
        several = len(self.batches) > 1
        return [
            (f"{number}.{name}" if several else name, tensor)
            for number, batch in enumerate(self.batches, start=1)
            for name, tensor in _taken_apart(batch)[0].items()
        ]


@dataclass(frozen=True)
class Rescue:
    """Saves the step of a phase that went wrong, with all that its outcome depends on.

    ``folder`` gets a directory per phase and step.
    """

    folder: Path
    phase: str
    model: D2VLM
    reference: D2VLM | None
    config: TrainConfig
    new_tokens: list[int]
    compute: Compute

    def __call__(self, trouble: Trouble[Any]) -> Path:
        """Write it; returns the directory."""
        from safetensors.torch import save_file

        parts = [_taken_apart(batch, f"{number}.") for number, batch in enumerate(trouble.batches)]
        tensors = {name: tensor for part, _ in parts for name, tensor in part.items()}
        record = StepRecord(
            phase=self.phase,
            step=trouble.step,
            reason=trouble.reason,
            device=self.compute.device.type,
            dtype="bfloat16" if self.compute.is_mixed else "float32",
            new_tokens=self.new_tokens,
            config=self.config,
            batch=type(trouble.batches[0]).__name__,
            plain=[plain for _, plain in parts],
            has_reference=self.reference is not None,
        )
        home = self.folder / f"{self.phase}-step{trouble.step}"
        with atomic_directory(home) as directory:
            (directory / _RECORD).write_text(
                canonical_json(record.model_dump(mode="json")) + "\n", encoding="utf-8"
            )
            save_file(_stored({**tensors, _RANDOM: trouble.random_state}), directory / _BATCH)
            save_structure(self.model, directory)
            save_file(_stored(_weights_of(self.model)), directory / _WEIGHTS)
            if self.reference is not None:
                save_file(_stored(_weights_of(self.reference)), directory / _REFERENCE)
        return home


def load_step(directory: Path) -> SavedStep:
    """Read a saved step.

    Raises:
        UserError: the directory is none, or is damaged.
    """
    from safetensors.torch import load_file

    if not (directory / _RECORD).is_file():
        raise UserError(
            f"{directory}: not a saved step; name the directory that the failed run named, below its "
            "replay_dir"
        )
    verify(directory)
    try:
        record = StepRecord.model_validate_json((directory / _RECORD).read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{directory / _RECORD}: {validation_reason(error)}") from None
    tensors = load_file(directory / _BATCH)
    random_state = tensors.pop(_RANDOM)
    reference = None
    if record.has_reference:
        reference = load_structure(directory).eval()
        _fill(reference, load_file(directory / _REFERENCE))
    kind = _BATCHES[record.batch]
    return SavedStep(
        record,
        load_structure(directory),
        load_file(directory / _WEIGHTS),
        reference,
        [_put_together(kind, tensors, plain, f"{number}.") for number, plain in enumerate(record.plain)],
        random_state,
    )


def _fill(model: nn.Module, weights: dict[str, Tensor]) -> None:
    unknown = model.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise UserError(f"the saved weights are of another model (first difference: {unknown[0]})")


def _weights_of(model: nn.Module) -> dict[str, Tensor]:
    """State of a model, tied tensors once."""
    found: dict[str, Tensor] = {}
    places: set[tuple[int, torch.Size]] = set()
    for name, tensor in model.state_dict().items():
        place = tensor.data_ptr(), tensor.shape
        if place not in places:
            places.add(place)
            found[name] = tensor
    return found


def _stored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: on the CPU, each by itself."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _taken_apart(batch: Any, above: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a batch by their dotted names, and everything else."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for field in fields(batch):
        name, value = f"{above}{field.name}", getattr(batch, field.name)
        if isinstance(value, Tensor):
            tensors[name] = value
        elif is_dataclass(value):
            within = _taken_apart(value, f"{name}.")
            tensors |= within[0]
            plain |= within[1]
        else:
            plain[name] = value
    return tensors, plain


def _put_together(
    kind: type[_Record], tensors: dict[str, Tensor], plain: dict[str, Any], above: str = ""
) -> _Record:
    """A batch from what `_taken_apart` made of it."""
    types = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, as all batches are
        name, of_field = f"{above}{field.name}", types[field.name]
        if of_field is Tensor:
            values[field.name] = tensors[name]
        elif isinstance(of_field, type) and is_dataclass(of_field):
            values[field.name] = _put_together(of_field, tensors, plain, f"{name}.")
        else:
            values[field.name] = _as_tuples(plain[name])
    return kind(**values)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
