"""ZeRO by DeepSpeed: states, gradients and weights partitioned among workers, on CPU memory where asked for.

DeepSpeed averages gradients over workers and passes; losses here are shares of a sum, so that a worker's is
multiplied by their number and DeepSpeed's division undoes it. It is imported when an engine is made, and
nowhere else.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.deepspeed_settings import deepspeed_settings
from d2vlm_pipeline.training.engine import Workers
from d2vlm_pipeline.training.engines.collective import Grouped
from d2vlm_pipeline.training.engines.marks import Unmarked
from d2vlm_pipeline.training.engines.op_build import build_op
from d2vlm_pipeline.training.engines.stepped import SteppedModel
from d2vlm_pipeline.training.optimiser import build_optimiser, build_schedule

_Batch = TypeVar("_Batch")

_TAG, _RECORD = "zero", "zero.json"


class DeepSpeedEngine(Grouped, Generic[_Batch]):
    """One worker's part of a model that DeepSpeed trains; see `engine.Engine`."""

    def __init__(
        self,
        model: nn.Module,
        step: Callable[[_Batch], StepResult],
        config: TrainConfig,
        workers: Workers,
    ) -> None:
        super().__init__(workers)
        self._stage = config.sharding.zero_stage
        self._stepped = SteppedModel(model, step)
        self._unmarked = Unmarked(self._stepped)
        settings = deepspeed_settings(config, workers.number)
        _join(workers)
        deepspeed = _imported(workers, settings)
        groups = [group for group in build_optimiser(model, config.optim).param_groups if group["params"]]
        kept = ("params", "lr", "weight_decay")
        self._engine, optimiser, _, _ = deepspeed.initialize(
            model=self._stepped,
            model_parameters=[{name: group[name] for name in kept} for group in groups],
            config=settings,
            dist_init_required=False,
        )
        self._optimiser: Any = optimiser
        self._schedule = build_schedule(self._engine.basic_optimizer, config.steps, config.optim)

    def forward(self, batch: _Batch, is_last: bool) -> StepResult:
        self._engine.set_gradient_accumulation_boundary(is_last)
        result = self._stepped.take(self._engine(batch))
        if self._stage == 3:
            _forget_unfinished()
        return result

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the pass; behind the last one every worker has its part of the sums."""
        self._engine.backward(loss * self.workers, scale_wrt_gas=False)
        if self._stage == 3:
            _forget_unfinished()

    def gradient_norm(self) -> Tensor:
        """Norm of the step's gradients; DeepSpeed clips by it as it takes the step."""
        if self._stage < 3:
            norm = self._optimiser.scaled_global_norm()
            return torch.where(norm < 0, torch.nan, norm)  # DeepSpeed says -1 of what is no number
        parts = self._optimiser.get_fp32_grad_partitions().values()
        squares = [part.double().square().sum() for group in parts for part in group.values()]
        return self.total(torch.stack(squares).sum()).sqrt().float()

    def update(self) -> float:
        self._engine.step()
        self._schedule.step()
        return float(self._schedule.get_last_lr()[0])

    def save(self, folder: Path) -> None:
        """DeepSpeed's own directory, and what it was written by."""
        self._engine.save_checkpoint(
            str(folder),
            tag=_TAG,
            client_state={"schedule": self._schedule.state_dict()},
            save_latest=False,
            exclude_frozen_parameters=True,
        )
        if self.rank == 0:
            (folder / _RECORD).write_text(
                json.dumps({"stage": self._stage, "workers": self.workers}) + "\n", encoding="utf-8"
            )

    def load(self, folder: Path) -> None:
        """Take up a directory of as many workers and of the same stage.

        Raises:
            UserError: it is of another number, or of another stage.
        """
        check_record(folder, self._stage, self.workers)
        _, state = self._engine.load_checkpoint(str(folder), tag=_TAG, load_module_strict=False)
        self._schedule.load_state_dict(state["schedule"])
        groups = self._engine.basic_optimizer.param_groups
        for group, rate in zip(groups, self._schedule.get_last_lr(), strict=True):
            group["lr"] = rate

    def finish(self) -> None:
        """Leave the whole model on the CPU of every worker, without a trace of DeepSpeed."""
        weights = self._whole_weights()
        self._engine.destroy()
        self._unmarked.restore(weights)
        _forget_unfinished(0)

    def _whole_weights(self) -> dict[str, Tensor]:
        """Weights by name, one gathered at a time."""
        from deepspeed.runtime.zero import GatheredParameters

        found: dict[str, Tensor] = {}
        for name, parameter in self._stepped.named_parameters():
            with GatheredParameters([parameter], enabled=self._stage == 3):
                found[name] = parameter.detach().to("cpu", copy=True)
        return found


def check_record(folder: Path, stage: int, workers: int) -> None:
    """Refuse a directory that other workers have written: their parts of the states are of other sizes.

    Raises:
        UserError: it is of another number of workers, or of another stage.
    """
    written = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    if written != {"stage": stage, "workers": workers}:
        of = f"ZeRO-{written['stage']} on {written['workers']} workers"
        raise UserError(
            f"{folder}: written by {of}, which ZeRO-{stage} on {workers} cannot take up; set "
            "train.workers and sharding.zero_stage to that, or remove it to start the phase again"
        )


def _join(workers: Workers) -> None:
    """A process group of one where nobody has made one; several workers come with theirs."""
    import torch.distributed as dist

    if workers.number == 1 and not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)


def _imported(workers: Workers, settings: dict[str, Any]) -> Any:
    """DeepSpeed, on the device of this worker, with the operations it needs there."""
    # Otherwise it would look for hardware, and for a launcher of its own.
    os.environ.setdefault("DS_ACCELERATOR", workers.device.type)
    os.environ.setdefault("LOCAL_RANK", str(workers.device.index or 0))
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # It calls what torch has renamed, at every step.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    import deepspeed
    from deepspeed.accelerator import get_accelerator

    accelerator = get_accelerator()
    if workers.device.type == "cpu":
        build_op(accelerator.create_op_builder("ShareMemCommBuilder"))
    if not settings["optimizer"]["params"]["torch_adam"]:
        build_op(accelerator.create_op_builder("CPUAdamBuilder"))
    return deepspeed


def _forget_unfinished(kept: int = 1) -> None:
    """Take modules whose pass ended early off ZeRO-3's list of those that run.

    A prefix ends in the last layer's keys and values, a checkpointed layer where all is computed again that
    is needed; DeepSpeed would count both as running for ever, and give them what others ask for.
    """
    from deepspeed.runtime.zero import parameter_offload

    del parameter_offload.FWD_MODULE_STACK[kept:]
