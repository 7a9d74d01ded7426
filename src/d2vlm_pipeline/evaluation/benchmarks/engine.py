"""From a benchmark's files to figures, how sure they are, and what other rules would make of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d2vlm_pipeline import __version__
from d2vlm_pipeline.artifacts import UserError, digest_file
from d2vlm_pipeline.evaluation.benchmarks.comparison import Comparison, compare
from d2vlm_pipeline.evaluation.benchmarks.quirks import Otherwise, otherwise
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Files, Scored
from d2vlm_pipeline.evaluation.benchmarks.slices import Sliced, slice_scores
from d2vlm_pipeline.evaluation.bootstrap import estimates
from d2vlm_pipeline.evaluation.reading import PARSER_VERSION

SCORING_VERSION = 1
"""Raised whenever the same files may come out with other figures."""

STRICT = "strict"


@dataclass(frozen=True)
class Settings:
    """How sure a report is about its figures: draws of videos, coverage of intervals, seed."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Ranged:
    """A figure with its bootstrap interval, in the unit of the metrics; n counts queries."""

    value: float
    low: float
    high: float
    n: int
    videos: int


@dataclass(frozen=True)
class Report:
    """Everything that a scoring found out.

    Attributes:
        intervals: by path into `scored.metrics`; figures that are undefined are left out.
        others: what every other protocol and every known quirk would change.
        comparison: against other predictions, where there were any.
        digests: by role, (file name, SHA-256) of every file that was read.
    """

    benchmark: str
    protocol: str
    scored: Scored
    intervals: Mapping[tuple[str, ...], Ranged]
    slices: tuple[Sliced, ...]
    others: tuple[Otherwise, ...]
    digests: Mapping[str, tuple[tuple[str, str], ...]]
    settings: Settings
    comparison: Comparison | None = None
    versions: Mapping[str, str | int] = field(
        default_factory=lambda: {
            "package": __version__,
            "scoring": SCORING_VERSION,
            "parser": PARSER_VERSION,
        }
    )


def score_files(
    benchmark: Benchmark[Any, Any],
    files: Files,
    protocol: str = STRICT,
    other: Path | None = None,
    settings: Settings | None = None,
) -> Report:
    """Score files under a protocol, and say all that can be said about the figures.

    Args:
        benchmark: what to score.
        files: predictions and truth.
        protocol: name of one of the benchmark's protocols.
        other: other predictions on the same truth, to compare with.
        settings: of bootstrap and tests.

    Raises:
        UserError: an unknown protocol, or a mistake in a file.
    """
    settings = settings or Settings()
    if protocol not in benchmark.protocols:
        raise UserError(
            f"{benchmark.name} has no protocol {protocol!r}; one of {', '.join(sorted(benchmark.protocols))}"
        )
    rules = benchmark.protocols[protocol].rules
    material = benchmark.read(files)
    scored = benchmark.score(material, rules)
    sure = (settings.resamples, settings.confidence, settings.seed)
    comparison = None
    if other is not None:
        theirs = benchmark.score(benchmark.read(Files(other, files.truths)), rules)
        comparison = compare(scored, theirs, *sure)
    return Report(
        benchmark=benchmark.name,
        protocol=protocol,
        scored=scored,
        intervals=_intervals(scored, settings),
        slices=tuple(slice_scores(scored, *sure)),
        others=tuple(otherwise(benchmark, material, protocol, scored)),
        digests=_digests(files, other),
        settings=settings,
        comparison=comparison,
    )


def _intervals(scored: Scored, settings: Settings) -> dict[tuple[str, ...], Ranged]:
    contributions = [measure.contribution for measure in scored.measures]
    results = estimates(contributions, settings.resamples, settings.confidence, settings.seed)
    return {
        measure.path: Ranged(
            value=measure.unit * result.value,
            low=measure.unit * result.low,
            high=measure.unit * result.high,
            n=len(set(measure.ids)),
            videos=len(set(measure.contribution.clips)),
        )
        for measure, result in zip(scored.measures, results, strict=True)
        if result is not None
    }


def _digests(files: Files, other: Path | None) -> dict[str, tuple[tuple[str, str], ...]]:
    """Files by name and not by path: the same files give the same report wherever they lie."""
    roles = {"predictions": (files.predictions,), "ground_truth": files.truths, "compare": (other,)}
    return {
        role: tuple((file.name, digest_file(file)) for path in paths if path for file in _files_of(path))
        for role, paths in roles.items()
        if any(paths)
    }


def _files_of(path: Path) -> list[Path]:
    return sorted(path.glob("*.json*")) if path.is_dir() else [path]
