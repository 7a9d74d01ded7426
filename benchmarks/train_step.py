"""Our training step against the published algorithm: losses, CPU seconds, and floating-point operations.

    python -m benchmarks.train_step [--repetitions 9] [--vocabulary 2000 32000] [--json OUT]

One thread; forward and backward; our time includes labels and packing, theirs labels (by loops, and
vectorised in a column of its own).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import published
from benchmarks.timing import interleaved
from benchmarks.workload import Example, Shape, build, examples, packed, same_clip
from d2vlm_pipeline.model.branches import ATTENTION
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.objectives import OFFICIAL_FPO, OFFICIAL_SFT
from d2vlm_pipeline.training import steps

QUESTIONS = 5
PUBLISHED_SECONDS = {"sft": 1.48, "fpo": 2.11}
"""Of the published code itself on one thread of such a machine, vocabulary 2,000."""

Loss = Callable[[], Tensor]


def cases(model: D2VLM, shape: Shape) -> dict[str, tuple[Loss, dict[str, Loss]]]:
    """By case our step and the published alternatives, each from the same examples to a loss."""
    single, pair = examples(shape), examples(shape, answers=2)
    shared = same_clip(shape, QUESTIONS)

    def ours_sft(given: list[Example], share_clip: bool = False) -> Loss:
        return lambda: steps.sft_step(model, packed(given, share_clip), OFFICIAL_SFT).loss

    def ours_fpo() -> Tensor:
        return steps.fpo_step(model, packed(pair), OFFICIAL_SFT, OFFICIAL_FPO).loss

    def theirs(step: Callable[..., Tensor], given: list[Example]) -> dict[str, Loss]:
        return {
            "loops": lambda: step(model, given, "loops"),
            "vectorised": lambda: step(model, given, "vectorised"),
        }

    return {
        "sft": (ours_sft(single), theirs(published.sft_step, single)),
        "fpo": (ours_fpo, theirs(published.fpo_step, pair)),
        "fpo, unpacked": (ours_fpo, theirs(published.dpo_step, pair)),
        f"{QUESTIONS} questions": (ours_sft(shared, True), theirs(published.sft_step, shared)),
    }


def stepped(model: D2VLM, loss: Loss, attention: str) -> Callable[[], None]:
    """Forward and backward with an attention implementation."""

    def run() -> None:
        model.backbone.set_attn_implementation(attention)
        model.zero_grad(set_to_none=True)
        loss().backward()

    return run


def flops(model: D2VLM, loss: Loss) -> int:
    """Of forward and backward, with MATH attention: on a CPU fused attention counts as nothing."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        stepped(model, loss, ATTENTION)()
    return int(counter.get_total_flops())


def measure(shape: Shape, repetitions: int) -> list[dict[str, object]]:
    """One record per case; raises where losses differ by more than 1e-4."""
    model, records = build(shape), []
    for name, (ours, others) in cases(model, shape).items():
        model.backbone.set_attn_implementation(ATTENTION)
        mine = float(ours().detach())
        model.backbone.set_attn_implementation("eager")
        for loss in others.values():
            torch.testing.assert_close(mine, float(loss().detach()), atol=1e-4, rtol=1e-4)
        runs = {"ours": stepped(model, ours, ATTENTION)}
        runs |= {how: stepped(model, loss, "eager") for how, loss in others.items()}
        seconds = interleaved(runs, repetitions)
        records.append({"case": name, "vocabulary": shape.vocabulary, "flops": flops(model, ours), **seconds})
    return records


def table(records: list[dict[str, object]]) -> Table:
    """CPU seconds a step, and how many times ours the others take."""
    found = Table(title="one training step, CPU seconds on one thread (medians)")
    for column in ("case", "vocabulary", "ours", "loops", "vectorised", "×, loops", "×, vectorised", "GFLOP"):
        found.add_column(column, justify="left" if column == "case" else "right")
    for record in records:
        ours, loops, vectorised = (float(str(record[key])) for key in ("ours", "loops", "vectorised"))
        found.add_row(
            str(record["case"]),
            f"{record['vocabulary']:,}",
            *(f"{value:.3f}" for value in (ours, loops, vectorised)),
            f"{loops / ours:.2f}",
            f"{vectorised / ours:.2f}",
            f"{int(str(record['flops'])) / 1e9:.1f}",
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[2000, 32000])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    records = [
        record for size in asked.vocabulary for record in measure(Shape(vocabulary=size), asked.repetitions)
    ]
    Console().print(table(records))
    print(f"the published code itself took {PUBLISHED_SECONDS} s a step at vocabulary 2,000")
    if asked.json:
        asked.json.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
