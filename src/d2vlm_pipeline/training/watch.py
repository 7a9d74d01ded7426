"""What to say while preferences are learned: when nothing is left to learn, or the wrong thing is."""

from __future__ import annotations

from collections.abc import Sequence

# σ(5) = 0.993: a pair beyond it has lost 99 % of its gradient.
SATURATED_MARGIN = 5.0
# Share of the first logged likelihood by which the chosen side may fall before it is worth a word.
CHOSEN_FALL = 0.2


class PreferenceWatch:
    """Warns once when the margins saturate, and once when the chosen responses become less likely.

    Both are common ends of preference optimisation: pairs without gradient, and a margin won by pushing both
    sides down (arXiv 2402.13228, §3).
    """

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, points: Sequence[dict[str, float]]) -> list[str]:
        """Warnings about the newest of the points."""
        found = {"saturated": _saturation(points[-1]), "fall": _fall(points[0], points[-1])}
        new = {kind: text for kind, text in found.items() if text and kind not in self._said}
        self._said |= set(new)
        return list(new.values())


def _saturation(point: dict[str, float]) -> str:
    least = point.get("margin_p10", 0.0)
    if least < SATURATED_MARGIN:
        return ""
    return (
        f"nine margins of ten exceed {least:.1f} at step {point['step']:.0f}, their gradient is gone; "
        "lower fpo.beta_text and fpo.beta_grounding, or stop here"
    )


def _fall(first: dict[str, float], last: dict[str, float]) -> str:
    before, now = (point["chosen_text"] + point["chosen_grounding"] for point in (first, last))
    if now >= before - CHOSEN_FALL * abs(before):
        return ""
    return (
        f"chosen responses became less likely, log π {before:.2f} to {now:.2f} at step {last['step']:.0f}; "
        "lower optim.learning_rate or raise the weight of the supervised part (lower fpo.weight)"
    )
