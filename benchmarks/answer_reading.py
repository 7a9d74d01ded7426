"""How the time to read an answer grows with its length: hostile texts of 1 MB and of 2 MB.

    python -m benchmarks.answer_reading [--megabytes 1] [--repetitions 1] [--json OUT]

Expected: twice the text takes about twice the time with every reader on every text, far below the goal of 3.
The plain patterns of the public scripts are timed too, on texts short enough for them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.score_loops_etbench_reading import read_described, read_intervals
from benchmarks.timing import interleaved
from d2vlm_pipeline.evaluation.reading import (
    bracket_or_first,
    careful_described,
    careful_intervals,
    careful_moment,
    careful_option,
    d2vlm_described,
    d2vlm_intervals,
    first_signed_number,
    original_described,
    original_intervals,
)

GOAL = 3.0
_MEGABYTE = 1 << 20
_PLAIN_CHARACTERS = 400

UNITS: dict[str, str] = {
    "digits": "1",
    "digits and dots": "1.",
    "digits, no end": "1" * 63 + "x",
    "blanks": " ",
    "number and blanks": "1" + " " * 63,
    "hyphens": "-",
    "numbers with hyphens": "1-",
    "hyphens and blanks": "- ",
    "dashes": "1 – ",
    "words between numbers": "1 to ",
    "to to to": " to ",
    "intervals": "1.5 - 2.5, ",
    "intervals with captions": "1.5 - 2.5 seconds, cut the onions. ",
    "new intervals": "",
    "clock times": "1:02:03 - ",
    "colons": "1:",
    "starts and ends": "starts 1! ends 2? ",
    "labelled times": "start time: 1 end time: 2 ",
    "start time, end time": "start time 1, end time ",
    "brackets": "[(",
    "brackets and numbers": "[1,(",
    "letters in brackets": "(a",
    "halves": "</evi>",
    "halves of intervals": "1-2</evi>",
    "answers": "the answer is ",
    "hours and minutes": "1 h 2 min 3 s ",
    "between": "between 1 and ",
    "keywords": "start",
    "line ends": "\n",
    "bullets": "* ",
    "digits of another script": "٣-",
}
"""What a hostile text repeats; `new intervals` is made of numbers none of which comes twice."""

READERS: dict[str, Callable[[str], object]] = {
    "original_intervals": original_intervals,
    "d2vlm_intervals": lambda text: d2vlm_intervals(f"</evi>{text}"),
    "careful_intervals": careful_intervals,
    "original_described": original_described,
    "d2vlm_described": lambda text: d2vlm_described(f"</evi>{text}"),
    "careful_described": careful_described,
    "first_signed_number": first_signed_number,
    "careful_moment": careful_moment,
    "bracket_or_first": lambda text: bracket_or_first(text, 4),
    "careful_option": lambda text: careful_option(text, ["a man", "(1", (1.0, 2.0)]),
}


def hostile(name: str, characters: int) -> str:
    """A text of that many characters."""
    if UNITS[name]:
        return (UNITS[name] * (characters // len(UNITS[name]) + 1))[:characters]
    parts: list[str] = []
    length = 0
    while length < characters:
        parts.append(f"{len(parts)}-{len(parts) + 1}, ")
        length += len(parts[-1])
    return "".join(parts)[:characters]


def growth(
    read: Callable[[str], object], name: str, characters: int, repetitions: int
) -> tuple[float, float]:
    """CPU seconds for twice the characters, and how many times those for the characters they are."""
    once, twice = hostile(name, characters), hostile(name, 2 * characters)
    runs = {"once": lambda: read(once), "twice": lambda: read(twice)}
    spent = interleaved(runs, repetitions, warm_up=False)
    return spent["twice"], spent["twice"] / max(spent["once"], 1e-6)


def main() -> None:
    """Measure and print: of each reader the slowest text, and the text with the greatest growth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=1.0)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    characters = int(asked.megabytes * _MEGABYTE)
    table = Table("reader", "slowest text", "s", "greatest growth", "×", title=f"goal: below {GOAL:g}×")
    values: dict[str, float] = {}
    for reader, read in READERS.items():
        found = {name: growth(read, name, characters, asked.repetitions) for name in UNITS}
        # What takes milliseconds is all noise.
        slow = {name: pair for name, pair in found.items() if pair[0] > 0.02} or found
        slowest = max(found, key=lambda name: found[name][0])
        most = max(slow, key=lambda name: slow[name][1])
        values |= {f"{reader}/{name}/growth": pair[1] for name, pair in slow.items()}
        values |= {f"{reader}/{name}/s": pair[0] for name, pair in found.items()}
        table.add_row(reader, slowest, f"{found[slowest][0]:.2f}", most, f"{slow[most][1]:.2f}")
    for reader, read in (("plain intervals", read_intervals), ("plain captions", read_described)):
        seconds, times = growth(read, "digits", _PLAIN_CHARACTERS, asked.repetitions)
        values[f"{reader}/digits/growth"] = times
        name = f"{reader}, {2 * _PLAIN_CHARACTERS} characters"
        table.add_row(name, "digits", f"{seconds:.2f}", "digits", f"{times:.2f}")
    Console(width=110).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
