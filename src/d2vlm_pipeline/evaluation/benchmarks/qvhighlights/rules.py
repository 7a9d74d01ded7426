"""How QVHighlights is scored: a switch for each thing that the public script does otherwise than expected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from d2vlm_pipeline.evaluation.benchmarks.records import Protocol, Trap

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU thresholds of moment retrieval: 0.5, 0.55 … 0.95."""

RANGES: dict[str, tuple[float, float]] = {
    "full": (float("-inf"), float("inf")),
    "long": (30, 150),
    "middle": (10, 30),
    "short": (0, 10),
}
"""Lengths in seconds of the true windows that each part is about, (low, high]."""

LEVELS = {"HL-min-Fair": 2, "HL-min-Good": 3, "HL-min-VeryGood": 4}
"""The rating, 0 to 4, from which on a clip is a highlight."""

CLIP_S = 2.0
ANNOTATORS = 3
KEPT = 10
"""Windows of a query that mAP looks at."""


@dataclass(frozen=True)
class Rules:
    """All off is strict.

    Attributes:
        missing: queries without prediction are `wrong`, `left out` (as predictions without query are, which
            else are an error), or the file is `refused`.
        lenient: of several predictions for one query mAP pools all and the rest takes the last, and windows
            may lie anywhere.
        keeps_first: mAP keeps the first KEPT windows as given, not the best scored ones.
        top_is_first: R1 takes the first window as given, not the best scored one.
        ranges_filter: in a part by length, a window that finds a true window of another length is wrong
            instead of passed over.
        pads_zero: clips without score get 0, which may be the best of all, instead of coming last.
        beyond_wins: a score beyond the last clip may be the highest, and is no hit.
        ties_once: clips of equal score count as one in AP, however many highlights are among them.
        flat_counts: equal scores for all clips earn what chance earns, instead of saying nothing.
        rounded: figures have two decimals.
    """

    missing: Literal["wrong", "left out", "refused"] = "wrong"
    lenient: bool = False
    keeps_first: bool = False
    top_is_first: bool = False
    ranges_filter: bool = False
    pads_zero: bool = False
    beyond_wins: bool = False
    ties_once: bool = False
    flat_counts: bool = False
    rounded: bool = False


STRICT = Rules()
OFFICIAL = Rules(
    missing="refused",
    lenient=True,
    keeps_first=True,
    top_is_first=True,
    ranges_filter=True,
    pads_zero=True,
    beyond_wins=True,
    ties_once=True,
    flat_counts=True,
    rounded=True,
)
TIMECHAT = replace(OFFICIAL, missing="left out")

PROTOCOLS: dict[str, Protocol[Rules]] = {
    "strict": Protocol(STRICT, "every query counts, windows and clips go by their scores"),
    "official": Protocol(OFFICIAL, "moment_detr's standalone_eval"),
}

HIGHLIGHT_TRAPS: tuple[Trap[Rules], ...] = (
    Trap(replace(STRICT, flat_counts=True), "equal scores for all clips earn what chance earns", "official"),
    Trap(replace(STRICT, ties_once=True), "AP counts clips of equal score as one", "official"),
    Trap(replace(STRICT, pads_zero=True), "clips without score get 0, not the last place", "official", 11),
    Trap(
        replace(STRICT, beyond_wins=True),
        "a highest score beyond the last clip is no hit, though AP ignores it",
        "official",
        11,
    ),
)
TRAPS: tuple[Trap[Rules], ...] = (
    Trap(
        replace(STRICT, top_is_first=True),
        "R1 takes the first window of the list, not the best scored one",
        "official",
        11,
    ),
    Trap(
        replace(STRICT, keeps_first=True),
        "mAP keeps the first 10 windows as given and sorts only those",
        "official",
        11,
    ),
    Trap(
        replace(STRICT, ranges_filter=True),
        "short, middle and long count windows as wrong that find a true window of another length",
        "official",
        11,
    ),
    *HIGHLIGHT_TRAPS,
)
VHD_TRAPS: tuple[Trap[Rules], ...] = (
    Trap(replace(STRICT, missing="left out"), "queries without prediction leave the denominator", "official"),
    *HIGHLIGHT_TRAPS,
)
VHD_PROTOCOLS: dict[str, Protocol[Rules]] = {
    "strict": Protocol(STRICT, "every query counts, clips go by their scores"),
    "official": Protocol(TIMECHAT, "TimeChat's copy of standalone_eval: queries without prediction leave"),
}
