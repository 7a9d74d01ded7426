"""What `d2vlm score` does, and what it says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from d2vlm_pipeline.artifacts import UserError, write_text_atomic
from d2vlm_pipeline.evaluation.benchmarks import REGISTRY, find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.engine import STRICT, score_files
from d2vlm_pipeline.evaluation.benchmarks.recorded import report_json
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Files
from d2vlm_pipeline.evaluation.benchmarks.shown import benchmark_lines, report_lines


def list_benchmarks() -> Iterator[str]:
    """Every benchmark with its protocols, a line each."""
    for name in sorted(REGISTRY):
        yield from benchmark_lines(find_benchmark(name))


def run(
    benchmark: str | None,
    predictions: Path | None,
    ground_truth: Path | None,
    references: Sequence[Path] = (),
    protocol: str = STRICT,
    json: Path | None = None,
    html: Path | None = None,
    other: Path | None = None,
) -> Iterator[str]:
    """Score, write what is asked for, and yield lines to show.

    Raises:
        UserError: arguments that do not go together, or a mistake in a file.
    """
    if benchmark is None or predictions is None:
        raise UserError("score needs --benchmark and --predictions; `d2vlm score --list` names benchmarks")
    found = find_benchmark(benchmark)
    files = Files(predictions, _truths(found, ground_truth, references))
    for path in (predictions, *files.truths, *filter(None, [other])):
        if not path.exists():
            raise UserError(f"{path}: no such file; check the path")
    try:
        report = score_files(found, files, protocol, other)
    except PermissionError as error:
        raise UserError(f"{error.filename}: no right to read it; change its mode or its owner") from None
    if json is not None:
        _write(json, report_json(report))
    if html is not None:
        from d2vlm_pipeline.evaluation.page import render_page
        from d2vlm_pipeline.evaluation.page.score_page import score_page

        _write(html, render_page(score_page(report)))
    yield from report_lines(report)


def _write(path: Path, text: str) -> None:
    try:
        write_text_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name a file that can") from None


def _truths(
    benchmark: Benchmark[Any, Any], ground_truth: Path | None, references: Sequence[Path]
) -> tuple[Path, ...]:
    if references and not benchmark.references:
        raise UserError(f"{benchmark.name} has one set of references; give it as --ground-truth")
    if references and ground_truth is not None:
        raise UserError("give --ground-truth or, for several sets of references, --references, not both")
    truths = tuple(references) or ((ground_truth,) if ground_truth is not None else ())
    if not truths and benchmark.truth == "file":
        raise UserError(f"{benchmark.name} needs --ground-truth: its predictions do not carry the truth")
    return truths
