"""Short trainings of a tiny model by every engine, for as many processes as there are workers."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from d2vlm_pipeline.model import ModelConfig, build_model
from d2vlm_pipeline.model.checkpointing import checkpointed
from d2vlm_pipeline.model.config import BackboneConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import Branch, Clip, PackedBatch, Prefix, Response, pack
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.engine import Engine, Workers
from d2vlm_pipeline.training.engines import make_engine
from d2vlm_pipeline.training.passes import descend
from d2vlm_pipeline.training.precision import Compute
from d2vlm_pipeline.training.running import count_of, step_of
from d2vlm_pipeline.training.tuning import tuned

TOKENS, CHANNELS, WORDS, FRAMES = 4, 12, 60, 9
NEW_TOKENS = (0, 1)
# Taken two at a time, the first clips are of one length, and need no moving; the others are not.
LENGTHS = (6, 6, 7, 8, 8, 6)
LORA = {"kind": "lora", "rank": 4, "dropout": 0.0, "targets": "linear", "embeddings": "new_tokens"}


@dataclass(frozen=True)
class Case:
    """A training: by how many workers, of what, and how its steps are cut.

    ``sharding`` are keys of `ShardingConfig`; weights small enough to be of several buckets and to be
    gathered in turn. ``clips_per_part`` cuts the clips of a step into passes. ``resumes_after`` that many
    steps with another engine of a new model.
    """

    phase: str = "sft"
    sharding: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=lambda: {"kind": "full"})
    clips_per_part: int = 1
    is_checkpointed: bool = False
    precision: str = "float32"
    steps: int = 5
    clips: int = 6
    resumes_after: int = 0

    @property
    def config(self) -> TrainConfig:
        small = {"bucket_parameters": 3000, "live_parameters": 9000, "persistent_parameters": 64}
        return TrainConfig.model_validate(
            {
                "steps": self.steps,
                "clips_per_step": self.clips,
                "precision": self.precision,
                "tuning": self.tuning,
                "optim": {"learning_rate": 5e-3, "lora_learning_rate": 1e-2, "clip_norm": 2.0},
                "sharding": {**small, "offload_adam": "torch", **self.sharding},
                "fpo": {"reference": True},
            }
        )


@dataclass(frozen=True)
class Outcome:
    """What a training left: every step's loss and gradient norm, and the model's weights."""

    losses: list[float]
    norms: list[float]
    weights: dict[str, Tensor]


def zero(stage: int, offload: str = "none") -> dict[str, Any]:
    return {"zero_stage": stage, "offload": offload}


def tiny_model() -> D2VLM:
    backbone = BackboneConfig(
        hidden_size=32, layers=3, heads=4, kv_heads=2, intermediate_size=48, vocab_size=WORDS
    )
    return build_model(
        ModelConfig.model_validate(
            {
                "backbone": backbone,
                "projector": {"kind": "pool", "cell_size": 4, "dropout": 0.0},
                "frame_tokens": TOKENS,
                "frame_channels": CHANNELS,
                "semantic_layer": 1,
                "head_size": 16,
            }
        ),
        seed=0,
    )


def step_clips(at: int, clips: int, sides: int) -> list[Clip]:
    """The clips of a step, the same to everyone who asks."""
    draw = torch.Generator().manual_seed(at)

    def words(number: int) -> list[int]:
        return torch.randint(2, WORDS, (number,), generator=draw).tolist()

    def response(length: int) -> Response:
        labels = torch.rand(2, FRAMES, generator=draw)
        return Response(words(length), [True] * length, [0, 3], [(0, 1)] * 2, labels, [(0, 1)])

    found = []
    for number in range(clips):
        branch = Branch(words(4), [], [], [response(LENGTHS[number]) for _ in range(sides)])
        features = torch.randn(FRAMES, TOKENS, CHANNELS, generator=draw)
        prefix = Prefix([*words(3 + number % 2), *[-1] * FRAMES])
        found.append(Clip(prefix, features, [branch] * (1 + number % 2)))
    return found


def parts_of(case: Case, at: int) -> list[PackedBatch]:
    clips = step_clips(at, case.clips, sides=2 if case.phase == "fpo" else 1)
    size = case.clips_per_part
    return [pack(clips[first : first + size]) for first in range(0, len(clips), size)]


def train(case: Case, workers: Workers, folder: Path) -> Outcome:
    """One worker's part of a training."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    first, told = case.resumes_after or case.steps, []
    model = tiny_model()
    with _prepared(case, model, workers) as engine:
        told += [_step(case, engine, at) for at in range(first)]
        if case.resumes_after:
            engine.save(folder)
        engine.finish()
    if case.resumes_after:
        model = tiny_model()
        with _prepared(case, model, workers) as engine:
            engine.load(folder)
            told += [_step(case, engine, at) for at in range(first, case.steps)]
            engine.finish()
    losses, norms = zip(*told, strict=True)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return Outcome(list(losses), list(norms), weights)


class _prepared:
    """The engine of a case; what trains is set up in the model, and taken out behind the block."""

    def __init__(self, case: Case, model: D2VLM, workers: Workers) -> None:
        from contextlib import ExitStack

        self._case, self._model, self._workers, self._open = case, model, workers, ExitStack()

    def __enter__(self) -> Engine[PackedBatch]:
        config, model = self._case.config, self._model
        compute = Compute.of(config)
        reference = tiny_model().eval() if self._case.phase == "fpo" else None
        self._open.enter_context(tuned(model, config.tuning, NEW_TOKENS, seed=3))
        self._open.enter_context(compute.holding(model, reference))
        self._open.enter_context(checkpointed(model.layers if self._case.is_checkpointed else []))
        step = compute.running(step_of(self._case.phase, model, config, reference))
        model.train()
        return make_engine(model, step, config, self._workers)

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)


def _step(case: Case, engine: Engine[PackedBatch], at: int) -> tuple[float, float]:
    result = descend(engine, parts_of(case, at), count_of(case.phase, case.config), lambda loss, parts: None)
    norm = engine.gradient_norm()
    engine.update()
    return float(engine.total(result.loss)), float(norm)


Work = Callable[[Workers, Path], Any]


def in_processes(work: Work, workers: int, folder: Path) -> list[Any]:
    """What every worker returns, each a process of one group; a folder of their own to share."""
    folder.mkdir(parents=True)
    torch.multiprocessing.spawn(_worker, args=(work, workers, str(folder)), nprocs=workers)
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(workers)]


def _worker(rank: int, work: Work, workers: int, folder: str) -> None:
    import torch.distributed as dist

    os.environ["LOCAL_RANK"] = str(rank)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    try:
        found = work(Workers(rank, workers, torch.device("cpu")), Path(folder))
        (Path(folder) / f"{rank}.pickle").write_bytes(pickle.dumps(found))
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Trainings:
    """Several trainings in the same processes, by name."""

    cases: dict[str, Case]

    def __call__(self, workers: Workers, folder: Path) -> dict[str, Outcome]:
        found = {}
        for name, case in self.cases.items():
            own = folder / name
            own.mkdir(exist_ok=True)
            found[name] = train(case, workers, own)
        return found


def alone(case: Case) -> Outcome:
    """The same training by the plain engine of one process, without an interruption."""
    plain = replace(case, sharding={}, resumes_after=0)
    return train(plain, Workers(), Path())


def differences(found: Outcome, reference: Outcome) -> dict[str, float]:
    """Largest differences: of losses, of norms relative to the norm, of weights."""
    return {
        "loss": _largest(found.losses, reference.losses),
        "norm": max(abs(a - b) / b for a, b in zip(found.norms, reference.norms, strict=True)),
        "weights": max(
            float((found.weights[name] - tensor).abs().max()) for name, tensor in reference.weights.items()
        ),
    }


def _largest(found: Sequence[float], reference: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(found, reference, strict=True))
