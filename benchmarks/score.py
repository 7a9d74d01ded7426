"""How fast public benchmarks are scored, against their published procedures in plain loops.

    python -m benchmarks.score [--only PART …] [--repetitions 5] [--folder CONFORMANCE] [--json OUT]

One process, CPU time, both sides interleaved; files are read beforehand, and nothing is timed unless both
sides come to the same figures. A part of PARTS makes contests: what ours and the loops do with some files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.score_contest import Contest
from benchmarks.timing import interleaved

GOAL = 10.0
"""How many times faster than plain loops scoring must be."""

SHARED = Path(__file__).parents[2] / "shared" / "conformance"

PARTS: dict[str, str] = {
    "dense": "benchmarks.score_dense:contests",
    "etbench": "benchmarks.score_etbench:contests",
    "qvhighlights": "benchmarks.score_qvhighlights:contests",
    "youcook2": "benchmarks.score_youcook2:contests",
}
"""Part to `module:function`; the function makes contests of the folder of public files."""


def contests(part: str, folder: Path) -> list[Contest]:
    """What a part times."""
    module, _, function = PARTS[part].partition(":")
    found: list[Contest] = getattr(import_module(module), function)(folder)
    return found


def seconds(contest: Contest, repetitions: int) -> Mapping[str, float]:
    """Median CPU seconds of `ours` and of `loops`, whose figures are the same."""
    if not contest.same(contest.ours(), contest.loops()):
        raise SystemExit(f"{contest.name}: the plain loops give other figures; nothing is timed")
    return interleaved({"ours": contest.ours, "loops": contest.loops}, repetitions, warm_up=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    title = f"CPU seconds without reading, medians of {asked.repetitions}; the goal is {GOAL:g}×"
    table = Table("scored", "queries", "ours", "plain loops", "×", title=title)
    values: dict[str, float] = {}
    for part in asked.only:
        for contest in contests(part, asked.folder):
            spent = seconds(contest, asked.repetitions)
            ratio = spent["loops"] / spent["ours"]
            values |= {f"{contest.name}/{side}_s": each for side, each in spent.items()}
            values[f"{contest.name}/speedup"] = ratio
            row = (f"{contest.queries:,}", f"{spent['ours']:.3f}", f"{spent['loops']:.2f}", f"{ratio:.1f}")
            table.add_row(contest.name, *row)
    Console(width=110).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
