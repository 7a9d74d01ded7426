"""What other rules would make of the same files, and why: every protocol, and each known quirk alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from d2vlm_pipeline.artifacts import UserError, track
from d2vlm_pipeline.evaluation.benchmarks.figures import label, leaf
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Protocol, Scored, Trap

_SAME = 0.005  # what two decimals do not show


@dataclass(frozen=True)
class Otherwise:
    """What rules other than the chosen would make of the headline figures.

    Attributes:
        protocol: their name; of a quirk, that of an official protocol that has it.
        why: what sets them apart.
        number: of a quirk among the known traps of the field's evaluators; None for a whole protocol.
        differences: by headline path in its order, theirs less the chosen protocol's, where both have one.
        refused: why these rules cannot score the files, where they cannot.
    """

    protocol: str
    why: str
    number: int | None
    differences: Mapping[tuple[str, ...], float]
    refused: str = ""

    @property
    def moved(self) -> list[tuple[str, ...]]:
        """Headline figures that differ, the most telling first."""
        return [path for path, difference in self.differences.items() if abs(difference) >= _SAME]

    @property
    def line(self) -> str:
        """For a person: `official:timechat would differ by +6.08 R1@0.5, because …`."""
        if self.refused:
            return f"{self.protocol} cannot score these files: {self.refused}"
        if not self.moved:
            joint = ":" if self.number is None else ", although"
            return f"{self.protocol} would not differ here{joint} {self.why}"
        first, most = self.moved[0], max(self.moved, key=lambda path: abs(self.differences[path]))
        also = "" if most == first else f" (at most {self._by(most)})"
        joint = ":" if self.number is None else ", because"
        return f"{self.protocol} would differ by {self._by(first)}{also}{joint} {self.why}"

    def _by(self, path: tuple[str, ...]) -> str:
        return f"{self.differences[path]:+.2f} {label(path)}"


def otherwise(benchmark: Benchmark[Any, Any], material: Any, chosen: str, scored: Scored) -> list[Otherwise]:
    """What every other protocol and, where `strict` was chosen, every known quirk would make of the files."""
    seen = [benchmark.protocols[chosen].rules]
    protocols = []
    for name, protocol in benchmark.protocols.items():
        if protocol.rules not in seen:  # a protocol may have two names
            seen.append(protocol.rules)
            protocols.append((name, protocol))
    traps = [trap for trap in benchmark.traps if trap.concerns(material)] if chosen == "strict" else []
    wanted: list[tuple[str, int | None, Protocol[Any] | Trap[Any]]] = [
        *((name, None, protocol) for name, protocol in protocols),
        *((trap.protocol, trap.number, trap) for trap in traps),
    ]
    return [
        _under(benchmark, material, scored, name, number, other)
        for name, number, other in track(wanted, "other rules", unit="rule")
    ]


def _under(
    benchmark: Benchmark[Any, Any],
    material: Any,
    scored: Scored,
    name: str,
    number: int | None,
    other: Protocol[Any] | Trap[Any],
) -> Otherwise:
    try:
        found = benchmark.score(material, other.rules)
    except UserError as error:  # `strict` refuses what public scripts count somehow, and those have limits
        return Otherwise(name, other.why, number, {}, refused=str(error))
    differences = {}
    for path in scored.headline:
        theirs, ours = leaf(found.metrics, path), leaf(scored.metrics, path)
        if theirs is not None and ours is not None:
            differences[path] = theirs - ours
    return Otherwise(name, other.why, number, differences)
