"""A saved step, run again under watch: the first thing in it that was no finite number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.passes import descend
from d2vlm_pipeline.training.precision import Compute
from d2vlm_pipeline.training.replay import SavedStep, StepRecord, load_step
from d2vlm_pipeline.training.running import count_of, step_of
from d2vlm_pipeline.training.tuning import tuned


@dataclass(frozen=True)
class Replay:
    """What was seen when a saved step ran again; places are empty where everything was finite.

    Attributes:
        record: The step.
        device: Where it ran now.
        loss: That of its last pass; passes behind a loss that is no number are not run.
        parts: Parts of that loss by name.
        batch: The first bad tensor of the batches, and where in it.
        weights: The first bad weight.
        largest: The largest finite weight by magnitude.
        forward: The first module whose output was bad, and what it had been given.
        gradient: The first bad gradient on the way back.
        gradient_norm: Over all weights that train; None where the loss had none to give.
    """

    record: StepRecord
    device: str
    loss: float
    parts: dict[str, float]
    batch: str
    weights: str
    largest: str
    forward: str
    gradient: str
    gradient_norm: float | None

    @property
    def culprit(self) -> str:
        """Where it began, in one sentence."""
        bad_parts = [name for name, value in self.parts.items() if not _is_finite(value)]
        if self.batch:
            return f"the batch: {self.batch}"
        if self.weights:
            return f"the weights: {self.weights}"
        if self.forward:
            return f"the forward pass: {self.forward}"
        if bad_parts:
            return f"the loss: {bad_parts[0]} is {self.parts[bad_parts[0]]}"
        if self.gradient:
            return f"the backward pass: {self.gradient}"
        if self.gradient_norm is not None and not _is_finite(self.gradient_norm):
            return f"the gradient: all are finite, but their norm is {self.gradient_norm}"
        return f"not found: all is finite here; the step ran on {self.record.device}, this is {self.device}"

    def lines(self) -> list[str]:
        """The whole on one screen."""
        optim, record = self.record.config.optim, self.record
        parts = ", ".join(f"{name} {value:.4g}" for name, value in self.parts.items())
        backward = "not computed: the loss is no number"
        if self.gradient_norm is not None:
            backward = f"{self.gradient or 'finite'}; norm {self.gradient_norm:.4g}"
        return [
            f"{record.phase}, step {record.step} of {record.config.steps}: {record.reason}",
            f"  then      {record.device}, {record.dtype}, learning rate {optim.learning_rate:g} at its peak",
            f"  now       {self.device}, {record.dtype}: the loss is {self.loss:.6g}",
            f"  batch     {self.batch or 'finite'}",
            f"  weights   {self.weights or 'finite'}; largest {self.largest}",
            f"  forward   {self.forward or 'finite'}",
            f"  loss      {parts}",
            f"  backward  {backward}",
            f"It began in {self.culprit}",
        ]


def replay(directory: Path) -> Replay:
    """Run a saved step again, on a GPU where there is one.

    Raises:
        UserError: the directory is no saved step, or is damaged.
    """
    saved = load_step(directory)
    record = saved.record
    here = Compute.of(record.config.model_copy(update={"device": "auto", "precision": "float32"}))
    compute = Compute(here.device, torch.bfloat16 if record.dtype == "bfloat16" else torch.float32)
    with tuned(saved.model, record.config.tuning, record.new_tokens, seed=0):
        saved.fill()
        with compute.holding(saved.model, saved.reference):
            return _examine(saved, compute)


def _examine(saved: SavedStep, compute: Compute) -> Replay:
    model, record = saved.model.train(), saved.record
    watch = _Watch()
    torch.set_rng_state(saved.random_state)
    compute_step = compute.running(step_of(record.phase, model, record.config, saved.reference))
    results: list[StepResult] = []

    def step(batch: Any) -> StepResult:
        results.append(compute_step(batch))
        return results[-1]

    norm = None
    with watch.outputs_of(model), watch.gradients_of(model), suppress(_NoNumber):
        engine = PlainEngine(model, step, record.config)
        descend(engine, saved.batches, count_of(record.phase, record.config), _check)
        norm = float(nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None))
    result = results[-1]
    return Replay(
        record=record,
        device=compute.device.type,
        loss=float(result.loss.detach()),
        parts={name: float(value.detach()) for name, value in result.figures.items()},
        batch=_first_bad(saved.tensors()),
        weights=_first_bad(model.named_parameters()),
        largest=_largest(model.named_parameters()),
        forward=watch.output,
        gradient=watch.gradient,
        gradient_norm=norm,
    )


class _NoNumber(Exception):
    """The loss has no gradient to look at."""


def _check(loss: Tensor, batches: Any) -> None:
    if not torch.isfinite(loss):
        raise _NoNumber


@dataclass
class _Watch:
    """Notes the first output and the first gradient that hold what is no number."""

    output: str = field(default="")
    gradient: str = field(default="")

    @contextmanager
    def outputs_of(self, model: nn.Module) -> Iterator[None]:
        """Watch every module; the innermost is done first."""
        handles = [
            module.register_forward_hook(self._output_hook(name), with_kwargs=True)
            for name, module in model.named_modules()
            if name
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def gradients_of(self, model: nn.Module) -> Iterator[None]:
        """Watch every weight that trains; those nearest to the loss come first."""
        handles = [
            parameter.register_post_accumulate_grad_hook(self._gradient_hook(name))
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _output_hook(self, name: str) -> Any:
        def look(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            if self.output:
                return
            bad = _first_bad((name, tensor) for tensor in _tensors(output))
            if bad:
                # Masks hold the lowest finite number by design.
                given = _tensors([args, {key: kwargs[key] for key in kwargs if "mask" not in key}])
                own = _largest(module.named_parameters(recurse=False))
                self.output = f"{bad}, of inputs up to {_size(given):.3g}" + (f" and {own}" if own else "")

        return look

    def _gradient_hook(self, name: str) -> Any:
        def look(parameter: Tensor) -> None:
            if not self.gradient and parameter.grad is not None:
                self.gradient = _first_bad([(name, parameter.grad)])

        return look


def _tensors(value: Any) -> Iterator[Tensor]:
    """Floating tensors of nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _first_bad(named: Iterable[tuple[str, Tensor]]) -> str:
    """The first tensor with what is no finite number: how much of it, and where."""
    for name, tensor in named:
        is_bad = ~torch.isfinite(tensor)
        if tensor.is_floating_point() and bool(is_bad.any()):
            at = is_bad.nonzero()[0].tolist()
            return f"{name} is {tensor[tuple(at)].item()} at {at} ({int(is_bad.sum())} of {tensor.numel()})"
    return ""


def _largest(named: Iterable[tuple[str, Tensor]]) -> str:
    """The largest finite value by magnitude, and whose it is."""
    found = [(_size([tensor.detach()]), name) for name, tensor in named if tensor.numel()]
    if not found:
        return ""
    size, name = max(found)
    return f"{size:.3g} in {name}"


def _size(tensors: Iterable[Tensor]) -> float:
    """Largest finite magnitude."""
    finite = [tensor[torch.isfinite(tensor)].abs() for tensor in tensors]
    return max((float(values.max()) for values in finite if values.numel()), default=0.0)


def _is_finite(value: float) -> bool:
    return bool(torch.isfinite(torch.tensor(value)))
