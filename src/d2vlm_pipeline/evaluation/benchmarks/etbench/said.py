"""Answers as a protocol's rules read them."""

from collections.abc import Callable, Sequence

from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Item
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ETBenchRules, Reading
from d2vlm_pipeline.evaluation.reading import (
    Described,
    Said,
    careful_described,
    careful_intervals,
    careful_moment,
    d2vlm_described,
    d2vlm_intervals,
    first_signed_number,
    halves,
    original_described,
    original_intervals,
)

END = "</evi>"

_INTERVALS: dict[Reading, Callable[[str, float | None], Said]] = {
    "careful": careful_intervals,
    "original": lambda text, duration_s: original_intervals(text),
    "d2vlm": lambda text, duration_s: d2vlm_intervals(text),
}
_DESCRIBED: dict[Reading, Callable[[str, float | None], Described]] = {
    "careful": careful_described,
    "original": lambda text, duration_s: original_described(text),
    "d2vlm": lambda text, duration_s: d2vlm_described(text),
}


def intervals_of(item: Item, rules: ETBenchRules, borrows: bool = True) -> Said:
    """Intervals of both halves.

    Args:
        borrows: an empty evidence half takes those of the answer, where the rules do such a thing.
    """
    said = _INTERVALS[rules.reading](item.answer or "", item.duration_s)
    if not rules.evidence_leans:
        return said
    if borrows and said.answer and not said.evidence:
        return Said(said.answer, said.answer)
    return said if said.answer else Said()


def described_of(item: Item, rules: ETBenchRules) -> Described:
    """Intervals with captions, and intervals of the evidence half."""
    return _DESCRIBED[rules.reading](item.answer or "", item.duration_s)


def moments_of(item: Item, rules: ETBenchRules) -> tuple[float | None, float | None]:
    """The moment of the answer half, and of the evidence half; None where there is none."""
    text = item.answer or ""
    if rules.middle_of_interval:
        return _middles(text, rules)
    evidence = _middle(careful_intervals(text, item.duration_s).evidence)
    if rules.reading == "careful":
        return careful_moment(text, item.duration_s), evidence
    return first_signed_number(text), evidence


def scores_evidence(items: Sequence[Item], rules: ETBenchRules) -> bool:
    """Whether the rules score evidence; careful ones only where some answer has any."""
    shown = rules.evidence_leans or any(halves(item.answer or "")[0].strip() for item in items)
    return rules.evidence and shown


def _middles(text: str, rules: ETBenchRules) -> tuple[float | None, float | None]:
    """The middle of the first interval of each half, the answer's for an evidence half without one."""
    first, *rest = text.split(END)
    if not rest and rules.reading == "d2vlm":
        return None, None
    answer = _middle(original_intervals(rest[-1] if rest else first).answer)
    evidence = _middle(original_intervals(first).answer) if rest and answer is not None else None
    return answer, answer if evidence is None else evidence


def _middle(spans: tuple[tuple[float, float], ...]) -> float | None:
    return (spans[0][0] + spans[0][1]) / 2 if spans else None
