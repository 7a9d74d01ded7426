"""How much memory a step takes on one GPU: a forecast from sizes alone, in bytes.

What lies there between steps (weights, gradients, optimiser states) follows the accounting of ZeRO (arXiv
1910.02054, §3 and figure 1), with frozen weights, which have neither gradients nor states. What a step adds
is counted in `activations`. Allocator and driver are margins, not formulas.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from d2vlm_pipeline.training.activations import Activations
from d2vlm_pipeline.training.sharding import Spread

# What CUDA's context and cuBLAS's workspaces hold before the first tensor: 0.5 to 1 GB on current cards.
CONTEXT_BYTES = 1_000_000_000
# Share of what is allocated that lies between blocks, unusable.
FRAGMENTATION = 0.05
# Overlapped, DeepSpeed holds 4.5 times a bucket for reducing and as much for gathering (transformers'
# documentation of DeepSpeed: two buckets of 5e8 in half precision take 9 GB).
_OVERLAPPED = 4.5
# Measured of two workers, between steps and in them, whatever trains: 4 bytes for each parameter that does,
# which neither DeepSpeed's source nor the tensors of a single worker account for.
_UNEXPLAINED = 4


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        frozen: Without gradients.
        trained: With gradients.
        largest: Of the largest module, which ZeRO-3 gathers as a whole.
        reference: Of a second model that is only compared with: whole on every GPU, under ZeRO-3 as well.
    """

    frozen: int
    trained: int
    largest: int = 0
    reference: int = 0


@dataclass(frozen=True)
class Precision:
    """Bytes of a frozen weight, of one that trains, of its gradient, its optimiser's states and a number.

    ``copied`` are bytes of a copy of what trains that products read, kept for the backward pass: whole, even
    where weights are partitioned.
    """

    frozen: int
    trained: int
    gradient: int
    optimiser: int
    compute: int
    copied: int = 0


# AdamW keeps two moments in float32.
FLOAT32 = Precision(frozen=4, trained=4, gradient=4, optimiser=8, compute=4)
# What trains is held in float32, and copied to half precision for a pass.
AUTOCAST = Precision(frozen=2, trained=4, gradient=4, optimiser=8, compute=2, copied=2)


def partitioned(precision: Precision) -> Precision:
    """The same under DeepSpeed, which has a float32 copy of what trains among the optimiser's states."""
    return replace(precision, optimiser=precision.optimiser + 4)


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the fullest moment of a step."""

    weights: float
    gradients: float
    optimiser: float
    buffers: float
    step: float
    margin: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(asdict(self).values())


def forecast(
    parameters: Parameters,
    kept: Activations,
    spread: Spread,
    precision: Precision,
    accumulation: int,
) -> Memory:
    """Memory of one GPU; each worker has one, and they are alike."""
    sharding, gpus = spread.sharding, spread.workers
    stage = sharding.zero_stage
    is_offloaded = sharding.offload != "none"
    weights = precision.frozen * parameters.frozen + precision.trained * parameters.trained
    gradient = precision.gradient * parameters.trained
    held = 0.0 if is_offloaded else gradient / (gpus if stage >= 2 else 1)
    if stage < 2 and accumulation == 1 and (stage == 1 or gpus == 1):
        held = 0.0  # what the pass leaves is the gradient; DDP has buckets of that size at all times
    optimiser = precision.optimiser * parameters.trained / (gpus if stage >= 1 else 1)
    buffers = _buffers(parameters, spread, precision)
    step = step_bytes(kept, gradient, _update_bytes(parameters, spread))
    fixed = Memory(
        weights=precision.copied * parameters.trained
        + precision.frozen * parameters.reference
        + (0.0 if sharding.offload == "weights" else weights / (gpus if stage >= 3 else 1)),
        gradients=held,
        optimiser=0.0 if is_offloaded else optimiser,
        buffers=buffers,
        step=step,
        margin=CONTEXT_BYTES,
    )
    return Memory(**asdict(fixed) | {"margin": CONTEXT_BYTES + FRAGMENTATION * (fixed.total - CONTEXT_BYTES)})


def step_bytes(kept: Activations, gradient: int, update: float) -> float:
    """The fullest of three moments.

    When the forward pass is done, everything is kept. When the backward pass has come through the branches,
    their part is gone, but no gradient of a weight is complete, and can be reduced, before the prefix has
    added its share: partitioned or not, all of them lie there. The update needs what it needs.
    """
    forward = kept.prefix + kept.branches + kept.logits
    return max(forward, kept.prefix + gradient, update)


def _update_bytes(parameters: Parameters, spread: Spread) -> float:
    """One float32 number more per parameter updated here (torch.optim: `foreach`; DeepSpeed: gradients)."""
    if spread.sharding.offload != "none":
        return 0.0
    return 4 * parameters.trained / (spread.workers if spread.sharding.zero_stage >= 1 else 1)


def _buffers(parameters: Parameters, spread: Spread, precision: Precision) -> float:
    """What messages between GPUs are put together in, and under ZeRO-3 the weights that lie gathered."""
    sharding = spread.sharding
    if sharding.zero_stage == 0:
        return 0.0  # DDP: gradients lie in their buckets
    held = _OVERLAPPED if sharding.overlap_communication else 1.0
    buffers = 2 * held * sharding.bucket_parameters * precision.gradient
    if sharding.zero_stage < 3 and spread.workers > 1:
        buffers += _UNEXPLAINED * parameters.trained
    if sharding.zero_stage == 3:
        everything = parameters.frozen + parameters.trained
        live = min(max(sharding.live_parameters, parameters.largest), everything)
        buffers += precision.trained * live
    return buffers


def strategies(configured: Spread) -> dict[str, Spread]:
    """Ways to use these GPUs, by name: the configured one, and those it can be compared with."""
    plain = configured.sharding.model_copy(update={"zero_stage": 0, "offload": "none"})
    found = [Spread(1, plain)]
    if configured.workers > 1:
        stages = [plain.model_copy(update={"zero_stage": stage}) for stage in (0, 1, 2, 3)]
        offloaded = [
            stages[2].model_copy(update={"offload": "optimiser"}),
            stages[3].model_copy(update={"offload": "weights"}),
        ]
        found += [Spread(configured.workers, sharding) for sharding in [*stages, *offloaded]]
    return {spread.name: spread for spread in [*found, configured]}
