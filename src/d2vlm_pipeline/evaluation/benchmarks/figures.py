"""Figures out of a tree of metrics, and measures query by query."""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.records import Measure, Scored, Tree
from d2vlm_pipeline.evaluation.overlap import Floats


def label(path: Sequence[str]) -> str:
    """A path as one name: `full/MR-mAP/average`."""
    return "/".join(path)


def leaf(tree: Tree, path: Sequence[str]) -> float | None:
    """The number at a path, a step into a list being its index; None where no number stands there."""
    found: object = tree
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def headline_measures(scored: Scored) -> list[Measure]:
    """Measures of the headline figures, in their order; a figure may have none."""
    by_path = {measure.path: measure for measure in scored.measures}
    return [by_path[path] for path in scored.headline if path in by_path]


def by_query(measure: Measure) -> dict[str, float]:
    """What each query alone makes of the measure, in its unit; queries that leave it undefined are out."""
    ids, row_id = np.unique(np.array(measure.ids, dtype=object), return_inverse=True)
    sums_QS = np.zeros((len(ids), measure.contribution.stats_RS.shape[1]))
    np.add.at(sums_QS, row_id, measure.contribution.stats_RS)
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = measure.contribution.combine(sums_QS)
    return {
        name: measure.unit * value
        for name, value in zip(ids.tolist(), values.tolist(), strict=True)
        if np.isfinite(value)
    }
