"""QVHighlights' part of `benchmarks.score`: the published predictions of 1,550 queries."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import score_loops_qvhighlights as loops
from benchmarks.score_contest import Contest
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights import BENCHMARK, Rules, read
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.files import Submission
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Tree

SUBMISSIONS = ("sample_val_preds", "qd_detr_val_preds", "perturbed_val_seed17")


def contests(folder: Path) -> list[Contest]:
    """One a submission."""
    home = folder / "moment_detr_qvhighlights"
    truth = home / "highlight_val_release.jsonl"
    return [contest(name, home / f"{name}.jsonl", truth) for name in SUBMISSIONS]


def contest(name: str, predictions: Path, truth: Path) -> Contest:
    """Our figures, with everything that intervals and comparisons need, against the loops' bare ones."""
    submission = read(Files(predictions, (truth,)))
    said, asked = _lines(predictions), _lines(truth)
    return Contest(
        name=f"qvhighlights {name}",
        queries=len(asked),
        ours=partial(figures, submission, BENCHMARK.protocols["official"].rules),
        loops=partial(loops.scored, said, asked),
        same=lambda ours, theirs: ours == theirs,
    )


def figures(submission: Submission, rules: Rules) -> Tree:
    """What the public script would report."""
    return BENCHMARK.score(submission, rules).metrics


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
