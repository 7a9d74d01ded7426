"""A plan as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from d2vlm_pipeline.training.plan import CARDS_GIB, PhasePlan, Plan, fits

_GIB = 2**30


def plan_tables(plan: Plan) -> Iterator[Table]:
    """Parameters, once for phases that train the same; tokens of a pass and memory, for every phase."""
    shown: PhasePlan | None = None
    for name, phase in plan.phases.items():
        if shown is None or shown.counted.parts != phase.counted.parts:
            alike = [other for other, of in plan.phases.items() if of.counted.parts == phase.counted.parts]
            yield _parameters(", ".join(alike), phase, plan.frame.parameters)
        yield _pass(name, phase)
        yield _memory(name, phase)
        shown = phase


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _parameters(name: str, phase: PhasePlan, encoder: int) -> Table:
    table = _table(f"{name}: parameters", "part", "all", "trained", "share")
    for part, count in phase.counted.parts.items():
        table.add_row(part, f"{count.total:,}", f"{count.trained:,}", f"{count.trained / count.total:.1%}")
    total = phase.counted.total
    table.add_section()
    table.add_row("model", f"{total.total:,}", f"{total.trained:,}", f"{total.trained / total.total:.1%}")
    table.add_row("encoder, whose features are stored", f"{encoder:,}", "0", "0.0%")
    return table


def _pass(name: str, phase: PhasePlan) -> Table:
    shape, config = phase.shape, phase.config
    table = _table(f"{name}: one pass on one GPU", "", "number")
    rows = {
        "clips": shape.clips,
        "tokens up to the last frame, each clip": shape.prefix,
        "questions about each clip": shape.questions,
        "tokens of a question and what is answered": shape.branch,
        "tokens in all": shape.clips * (shape.prefix + shape.questions * shape.branch),
        "passes of a GPU in a step": phase.passes,
        "GPUs": phase.spread.workers,
        "clips of a step": config.clips_per_step,
    }
    for label, number in rows.items():
        table.add_row(label, f"{number:,}")
    return table


def _memory(name: str, phase: PhasePlan) -> Table:
    parts = ("weights", "gradients", "optimiser", "buffers", "step", "margin", "total")
    labels = ("weights", "grads", "states", "buffers", "step", "margin", "total")
    cards = [f"{card} GB" for card in CARDS_GIB]
    table = _table(f"{name}: GiB on each GPU, foretold (→ as configured)", "strategy", *labels, *cards)
    for way, memory in phase.memory.items():
        is_configured = way == phase.spread.name
        sizes = [_gib(getattr(memory, part)) for part in parts]
        held = ["yes" if fits(memory, card) else "no" for card in CARDS_GIB]
        label = f"→ {way}" if is_configured else f"  {way}"
        table.add_row(label, *sizes, *held, style="bold" if is_configured else None)
    return table


def _gib(size: float) -> str:
    gib = size / _GIB
    return f"{gib:.1f}" if gib >= 10 else f"{gib:.2f}"
