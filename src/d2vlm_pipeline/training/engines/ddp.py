"""Several workers with a whole model each, by PyTorch's DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from d2vlm_pipeline.training.accumulation import StepResult
from d2vlm_pipeline.training.config import LoopConfig
from d2vlm_pipeline.training.engine import Workers
from d2vlm_pipeline.training.engines.collective import Grouped
from d2vlm_pipeline.training.engines.plain import PlainEngine
from d2vlm_pipeline.training.engines.stepped import SteppedModel

_Batch = TypeVar("_Batch")


class DdpEngine(Grouped, Generic[_Batch]):
    """One of several workers; each takes the same step with the same, summed gradients.

    Every worker has optimiser, clipping and schedule of the plain engine. The process group is there already.
    """

    def __init__(
        self,
        model: nn.Module,
        step: Callable[[_Batch], StepResult],
        config: LoopConfig,
        workers: Workers,
    ) -> None:
        super().__init__(workers)
        self._stepped = SteppedModel(model, step)
        # Told to look for weights without gradient, it does not sort its buckets again behind the first
        # step: sums are of the same order in a resumed run. (It warns once that there were none.)
        self._ddp = DistributedDataParallel(
            self._stepped,
            forward_sync_buffers=False,
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )
        self._ddp.register_comm_hook(None, lambda _, bucket: _sum(bucket))
        self._own = PlainEngine[_Batch](model, step, config)

    def forward(self, batch: _Batch, is_last: bool) -> StepResult:
        with nullcontext() if is_last else self._ddp.no_sync():
            return self._stepped.take(self._ddp(batch))

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def gradient_norm(self) -> Tensor:
        return self._own.gradient_norm()

    def update(self) -> float:
        return self._own.update()

    def save(self, folder: Path) -> None:
        """The first worker's are everyone's."""
        if self.rank == 0:
            self._own.save(folder)

    def load(self, folder: Path) -> None:
        self._own.load(folder)

    def finish(self) -> None:
        """The weights are whole in every worker; gradients, which lie in buckets, are let go."""
        for parameter in self._stepped.parameters():
            parameter.grad = None


def _sum(bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Add up gradients; DistributedDataParallel by itself would average them."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    future: torch.futures.Future[Any] = work.get_future()
    return future.then(lambda done: done.value()[0])
