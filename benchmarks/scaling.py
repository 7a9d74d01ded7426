"""Time and memory of a supervised step against the number of frames, ours and the published algorithm's.

    python -m benchmarks.scaling [--frames 64 4096] [--repetitions 3] [--plot docs/scaling.png] [--json OUT]

One clip with one question, one thread. The published curve ends where its step would take more memory than
``--published-gb``, and says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.memory import peak_bytes
from benchmarks.timing import interleaved
from benchmarks.train_step import check_losses, sft_case, stepped
from benchmarks.workload import Shape, build
from d2vlm_pipeline.model.branches import ATTENTION

FRAMES = (64, 128, 256, 512, 1024, 2048, 4096)
LONG = 1024
"""Beyond so many frames a step is run once: it takes long enough to tell."""

Curves = dict[str, dict[int, float]]
"""By figure, frames → value."""


def published_bytes(shape: Shape) -> int:
    """About what the published step keeps alive: attention weights of both passes, and three more at work."""
    length = shape.frames + shape.question + shape.response
    return (2 * shape.layers + 3) * shape.batch * shape.heads * length**2 * 4


def measure(lengths: Sequence[int], repetitions: int, published_gb: float) -> Curves:
    """CPU seconds (medians) and peak megabytes of a step at each length."""
    found: Curves = {name: {} for name in ("ours s", "published s", "ours MB", "published MB")}
    for frames in lengths:
        shape = replace(Shape(), frames=frames, batch=1)
        model, case = build(shape), sft_case(shape)
        runs = {"ours": stepped(model, partial(case.ours, model), ATTENTION)}
        if published_bytes(shape) < published_gb * 1e9:
            if frames <= LONG:
                check_losses(model, case)
            runs["published"] = stepped(model, case.theirs(model)["vectorised"], "eager")
        else:
            print(f"{frames} frames: the published step needs about {published_bytes(shape) / 1e9:.0f} GB")
        often = repetitions if frames <= LONG else 1
        for name, seconds in interleaved(runs, often, warm_up=frames <= LONG).items():
            found[f"{name} s"][frames] = seconds
            found[f"{name} MB"][frames] = peak_bytes(runs[name]) / 1e6
        print(f"{frames} frames: done")
    return found


def plot(found: Curves, path: Path) -> None:
    """Both figures against frames, on logarithmic scales."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    titles = ("CPU seconds a step", "peak MB of tensors")
    for axis, unit, title in zip(axes, ("s", "MB"), titles, strict=True):
        for name, marker in (("ours", "o"), ("published", "s")):
            curve = found[f"{name} {unit}"]
            axis.plot(list(curve), list(curve.values()), marker=marker, label=name)
        axis.set(xscale="log", yscale="log", xlabel="frames", title=title)
        ticks = list(found[f"ours {unit}"])
        axis.set_xticks(ticks, [str(frames) for frames in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--published-gb", type=float, default=8.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(asked.frames, asked.repetitions, asked.published_gb)
    table = Table("frames", *found, title="one supervised step on one clip")
    for frames in asked.frames:
        cells = [f"{curve[frames]:.3g}" if frames in curve else "–" for curve in found.values()]
        table.add_row(f"{frames:,}", *cells)
    Console().print(table)
    if asked.plot:
        plot(found, asked.plot)
    if asked.json:
        values = {f"{name}/{frames}": curve[frames] for name, curve in found.items() for frames in curve}
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
