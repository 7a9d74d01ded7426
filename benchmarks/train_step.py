"""Our training step against the published algorithm: losses, time, memory, floating-point operations.

    python -m benchmarks.train_step [--repetitions 9] [--vocabulary 2000 32000] [--json OUT]

One thread; forward and backward; our time includes labels and packing, theirs labels (by loops, and
vectorised in a column of its own).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import published
from benchmarks.memory import peak_bytes
from benchmarks.minimum import least_flops
from benchmarks.timing import interleaved
from benchmarks.workload import Example, Shape, build, examples, packed, same_clip
from d2vlm_pipeline.model.branches import ATTENTION
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.objectives import OFFICIAL_FPO, OFFICIAL_SFT
from d2vlm_pipeline.training import steps
from d2vlm_pipeline.training.accumulation import StepResult

QUESTIONS = 5
PUBLISHED_SECONDS = {"sft": 1.48, "fpo": 2.11}
"""Of the published code itself on one thread of such a machine, vocabulary 2,000."""

Loss = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """The same examples, from there to a loss: our way, and the published way with either labels."""

    name: str
    examples: list[Example]
    share_clip: bool
    step: Callable[..., StepResult]
    published: Callable[..., Tensor]

    def ours(self, model: D2VLM) -> Tensor:
        """Our loss."""
        return self.step(model, packed(self.examples, self.share_clip)).loss

    def theirs(self, model: D2VLM) -> dict[str, Loss]:
        """The published loss, by the way its labels are made."""
        return {
            "loops": lambda: self.published(model, self.examples, "loops"),
            "vectorised": lambda: self.published(model, self.examples, "vectorised"),
        }


def cases(shape: Shape) -> list[Case]:
    """Both phases, preferences without packing, and several questions about one clip."""
    pair, shared = examples(shape, answers=2), same_clip(shape, QUESTIONS)
    return [
        sft_case(shape),
        Case("fpo", pair, False, _fpo, published.fpo_step),
        Case("fpo, unpacked", pair, False, _fpo, published.dpo_step),
        Case(f"{QUESTIONS} questions", shared, True, _sft, published.sft_step),
    ]


def sft_case(shape: Shape) -> Case:
    """A clip of its own for every question."""
    return Case("sft", examples(shape), False, _sft, published.sft_step)


def _sft(model: D2VLM, batch: PackedBatch) -> StepResult:
    return steps.sft_step(model, batch, OFFICIAL_SFT)


def _fpo(model: D2VLM, batch: PackedBatch) -> StepResult:
    return steps.fpo_step(model, batch, OFFICIAL_SFT, OFFICIAL_FPO)


def stepped(model: D2VLM, loss: Loss, attention: str) -> Callable[[], None]:
    """Forward and backward with an attention implementation."""

    def run() -> None:
        model.backbone.set_attn_implementation(attention)
        model.zero_grad(set_to_none=True)
        loss().backward()

    return run


def flops(run: Callable[[], object]) -> int:
    """Of a step, with MATH attention: on a CPU fused attention counts as nothing."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def check_losses(model: D2VLM, case: Case) -> None:
    """Raises where losses differ by more than 1e-4."""
    model.backbone.set_attn_implementation(ATTENTION)
    mine = float(case.ours(model).detach())
    model.backbone.set_attn_implementation("eager")
    for loss in case.theirs(model).values():
        torch.testing.assert_close(mine, float(loss().detach()), atol=1e-4, rtol=1e-4)


def measure(shape: Shape, repetitions: int) -> Iterator[tuple[str, dict[str, float]]]:
    """By case: CPU seconds, peak megabytes, and our floating-point operations beside the least possible."""
    model = build(shape)
    for case in cases(shape):
        check_losses(model, case)
        ours = stepped(model, partial(case.ours, model), ATTENTION)
        theirs = {name: stepped(model, loss, "eager") for name, loss in case.theirs(model).items()}
        seconds = interleaved({"ours": ours, **theirs}, repetitions)
        yield case.name, {
            **seconds,
            "ours_mb": peak_bytes(ours) / 1e6,
            "published_mb": peak_bytes(theirs["vectorised"]) / 1e6,
            "gflop": flops(ours) / 1e9,
            "least_gflop": least_flops(model, packed(case.examples, case.share_clip)) / 1e9,
        }


COLUMNS = ("vocabulary", "case", "ours s", "× loops", "× vectorised", "ours MB", "theirs MB", "of least FLOP")


def row(vocabulary: int, case: str, found: Mapping[str, float]) -> list[str]:
    """A line of the table: how many times ours the others take."""
    return [
        f"{vocabulary:,}",
        case,
        f"{found['ours']:.3f}",
        f"{found['loops'] / found['ours']:.2f}",
        f"{found['vectorised'] / found['ours']:.2f}",
        f"{found['ours_mb']:.0f}",
        f"{found['published_mb']:.0f}",
        f"{found['gflop'] / found['least_gflop']:.3f}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[2000, 32000])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(*COLUMNS, title=f"one training step, CPU seconds, medians of {asked.repetitions}")
    values: dict[str, float] = {}
    for size in asked.vocabulary:
        for case, found in measure(Shape(vocabulary=size), asked.repetitions):
            table.add_row(*row(size, case, found))
            values |= {f"{case}/{size}/{name}": value for name, value in found.items()}
    Console(width=110).print(table)
    print(f"the published code itself took {PUBLISHED_SECONDS} s a step at vocabulary 2,000")
    if asked.json:
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
