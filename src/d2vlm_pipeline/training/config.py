"""Typed configuration of a training phase."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel, UserError
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.checkpoints import CheckpointConfig
from d2vlm_pipeline.training.sharding import ShardingConfig, Spread


class OptimConfig(StrictModel):
    """AdamW with linear warm-up, then a half cosine to ``final_share`` of the peak.

    ``lora_learning_rate`` is the adapters' own (method.md §8.2); without it they share ``learning_rate``.
    """

    learning_rate: PositiveFloat = 1e-3
    lora_learning_rate: PositiveFloat | None = None
    weight_decay: float = Field(default=0.02, ge=0)
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    final_share: float = Field(default=0.05, ge=0, le=1)
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: PositiveFloat = 1.0


Embeddings = Literal["new_tokens", "all", "none"]
"""Rows of the input and output embeddings that train: those of the tokens that evidence needs, all, none."""


SavedAs = Literal["merged", "adapter"]
"""A whole model, loadable by itself, or what tells it from its base, which must be there to load it."""


class FullTuning(StrictModel):
    """Every weight of the backbone trains."""

    kind: Literal["full"] = "full"


class FrozenTuning(StrictModel):
    """The backbone stays as it is: projector and heads train, and embeddings where they are asked for."""

    kind: Literal["frozen"] = "frozen"
    embeddings: Embeddings = "new_tokens"
    save: SavedAs = "merged"


class LoraTuning(StrictModel):
    """Low-rank adapters in the decoder; projector and heads train as well (method.md §8.2).

    Attributes:
        rank: Inner width of an adapter.
        alpha: Scale of an adapter's output, which is multiplied by alpha / rank.
        dropout: Of what an adapter reads.
        targets: The linear maps of the decoder's attention, or all of its linear maps.
        embeddings: The published code trains all of them.
    """

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = 16
    alpha: PositiveFloat = 32.0
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Literal["attention", "linear"] = "attention"
    embeddings: Embeddings = "new_tokens"
    save: SavedAs = "merged"


class LoopConfig(StrictModel):
    """How long a phase runs, and in what portions: all there is to say where the backbone does not train.

    ``checkpoints``: where they lie, and how often they are made; without it a killed phase starts over.
    """

    seed: int = Field(default=0, ge=0)
    steps: PositiveInt = 1000
    clips_per_step: PositiveInt = 4
    threads: PositiveInt = 2
    log_every: PositiveInt = 20
    optim: OptimConfig = OptimConfig()
    checkpoints: CheckpointConfig | None = None


class TrainConfig(LoopConfig):
    """A phase of the whole model: what trains, where, and with what loss.

    ``branches_per_clip`` bounds how many questions train behind one prefix in one step; which ones is drawn
    anew each time the clip comes up. ``borrowed_absent``: questions of other clips that a clip gets as
    examples of what does not happen. ``tuning``: which weights of the backbone train in this phase.
    ``gradient_checkpointing``: layers keep their inputs alone and compute the rest again on the way back, for
    less memory and about a third more time. ``precision``: of matrix products; `auto` is bfloat16 where CUDA
    has it; what trains, evidence and losses are always float32. ``device``: `auto` takes CUDA if it can.
    ``redraw_pairs``: FPO takes the set of pairs drawn for the epoch (`preferences.epochs`), not all at once.
    ``replay_dir``: folder for the batch and the weights of a step whose loss or gradient is no number.

    ``micro_batch``: clips that go through the model together in one worker, its whole share where it is not
    given. Lower it when memory runs out: gradients are added up to those of the whole step, so that what
    is learned stays the same.
    """

    micro_batch: PositiveInt | None = None
    branches_per_clip: PositiveInt = 8
    borrowed_absent: int = Field(default=0, ge=0)
    tuning: Annotated[FullTuning | FrozenTuning | LoraTuning, Field(discriminator="kind")] = FullTuning()
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    sharding: ShardingConfig = ShardingConfig()
    redraw_pairs: bool = False
    replay_dir: str | None = None
    sft: SFTConfig = SFTConfig()
    fpo: FPOConfig = FPOConfig()

    def clips_per_pass(self, workers: int) -> int:
        """Clips that go through the model together in one of so many workers."""
        return self.micro_batch or self.clips_per_step // workers

    def accumulation(self, workers: int) -> int:
        """Passes of one worker whose gradients make a step."""
        return self.clips_per_step // (self.clips_per_pass(workers) * workers)

    def check_portions(self, phase: str, workers: int) -> None:
        """Refuse a number of workers among which a step cannot be shared out.

        Raises:
            UserError: clips are left over.
        """
        if mend := self._left_over(workers):
            raise UserError(f"{phase}: {mend}, or mend train.workers")

    def _left_over(self, workers: int) -> str | None:
        """What to do about clips that are left over when a step is shared out; None where none are."""
        at_once = workers * (self.micro_batch or 1)
        if self.clips_per_step % at_once == 0:
            return None
        who = Spread(workers, self.sharding).who
        among = who if self.micro_batch is None else f"micro_batch {self.micro_batch} on {who}"
        clips = f"clips_per_step {self.clips_per_step} does not divide among {among}"
        return f"{clips}: make it a multiple of {at_once}"

    @model_validator(mode="after")
    def _check_precision(self) -> Self:
        if self.sharding.zero_stage > 0 and self.precision == "auto":
            raise ValueError("precision: auto leaves DeepSpeed to find out what runs; set the precision")
        return self

    @model_validator(mode="after")
    def _check_micro_batch(self) -> Self:
        if mend := self._left_over(workers=1):
            raise ValueError(mend)
        return self
