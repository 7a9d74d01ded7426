"""The audit, and the distance to a model's own mistakes, as pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT = "#22272e", "#adb5bd"
_FIRST, _SECOND = "#2b6cb0", "#b7791f"
_PAGE_IN = (11.0, 7.5)
_IOU = "max_iou"


def render_audit(record: dict[str, Any]) -> bytes:
    """One PNG of an audit record: factors, what text gives away, magnitudes, lengths and positions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_PAGE_IN, layout="constrained")
    figure.suptitle(f"{record['pairs']} preference pairs", fontsize=12, color=_INK)
    axes = figure.subplots(2, 2)
    _draw_counts(axes[0][0], record)
    _draw_blind(axes[0][1], record)
    _draw_overlaps(axes[1][0], record)
    _draw_gaps(axes[1][1], record)
    return _png(figure)


def render_distance(record: dict[str, Any]) -> bytes:
    """One PNG of a distance record: shares of each kind of mistake, the operators' beside the model's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    axes = figure.subplots()
    kinds = list(record["shares"])
    for offset, name, colour in ((-0.2, "operators", _FIRST), (0.2, "model", _SECOND)):
        shares = [record["shares"][kind][name] for kind in kinds]
        axes.barh([k + offset for k in range(len(kinds))], shares, 0.4, color=colour, label=name)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.set_xlabel("share of all mistakes")
    variation = record["total_variation"]
    axes.set_title("too few mistakes to compare" if variation is None else f"total variation {variation:.2f}")
    if kinds:
        axes.legend(frameon=False)
    return _png(figure)


def _draw_counts(axes: Axes, record: dict[str, Any]) -> None:
    counts = record["counts"].get("operator", {})
    axes.barh(list(counts), list(counts.values()), color=_FIRST)
    axes.invert_yaxis()
    axes.set_title("records by operator")


def _draw_blind(axes: Axes, record: dict[str, Any]) -> None:
    found = {name: each for name, each in record["text_only"].items() if each["auc"] is not None}
    places = range(len(found))
    values = [each["auc"] for each in found.values()]
    below = [max(0.0, each["auc"] - each["low"]) for each in found.values()]
    above = [max(0.0, each["high"] - each["auc"]) for each in found.values()]
    axes.errorbar(values, places, xerr=[below, above], fmt="o", color=_FIRST, ecolor=_FAINT)
    axes.axvline(0.5, color=_FAINT, linewidth=1)
    axes.set_yticks(places, list(found))
    axes.invert_yaxis()
    axes.set_xlim(0.3, 1.02)
    axes.set_title("told apart by text alone (AUC; 0.5 is chance)")


def _draw_overlaps(axes: Axes, record: dict[str, Any]) -> None:
    """Histograms of the overlap that is left between true and wrong intervals."""
    for operator, found in record["magnitudes"].items():
        if _IOU in found:
            low, high, counts = (found[_IOU][key] for key in ("low", "high", "counts"))
            width = (high - low) / len(counts)
            edges = [low + width * k for k in range(len(counts) + 1)]
            axes.stairs(counts, edges, label=operator, linewidth=1.5)
    axes.set_title("IoU of wrong intervals with the true ones")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _draw_gaps(axes: Axes, record: dict[str, Any]) -> None:
    groups = list(record["biases"])
    for offset, name, colour in ((-0.2, "words", _FIRST), (0.2, "events", _SECOND)):
        gaps = [record["biases"][group].get(name, {}).get("gap", 0.0) for group in groups]
        axes.barh([k + offset for k in range(len(groups))], gaps, 0.4, color=colour, label=name)
    axes.axvline(0.0, color=_FAINT, linewidth=1)
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.set_title("rejected side longer (+) or shorter (−), as a share")
    axes.legend(frameon=False)


def _png(figure: Figure) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"font.family": "DejaVu Sans"}):
        # Without the version of the library, which would make equal pictures differ.
        figure.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
