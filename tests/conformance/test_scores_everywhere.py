"""What holds for the report of every benchmark, whatever it scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.public import public_file
from conformance.scoring import PUBLIC, score
from d2vlm_pipeline.evaluation.benchmarks import REGISTRY, find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.figures import label, leaf
from d2vlm_pipeline.evaluation.benchmarks.records import Files

SCORED = sorted(set(REGISTRY) & set(PUBLIC))
ROUNDED = {"video-mme": 0.051}  # publishes one decimal, others two at least


def test_every_benchmark_with_public_files_is_here() -> None:
    assert set(REGISTRY) - set(PUBLIC) == {"grounded"}


@pytest.mark.parametrize("name", SCORED)
def test_figures_are_what_their_statistics_add_up_to(name: str) -> None:
    benchmark, files = find_benchmark(name), PUBLIC[name]
    truths = tuple(public_file(files.folder, truth) for truth in files.truths)
    material = benchmark.read(Files(public_file(files.folder, files.predictions), truths))
    for protocol in benchmark.protocols.values():
        scored = benchmark.score(material, protocol.rules)
        ids = [query.id for query in scored.queries]
        assert len(ids) == len(set(ids)) == scored.counts.queries
        counts = scored.counts
        assert counts.parsed + counts.unparsed + counts.missing == counts.queries
        paths = {measure.path for measure in scored.measures}
        assert scored.headline and all(leaf(scored.metrics, path) is not None for path in scored.headline)
        assert set(scored.headline) <= paths
        for measure in scored.measures:
            assert set(measure.ids) <= set(ids), measure.path
            value = leaf(scored.metrics, measure.path)
            with np.errstate(invalid="ignore"):
                total = measure.unit * measure.contribution.total
            wanted = pytest.approx(total, abs=ROUNDED.get(name, 0.0051)) if np.isfinite(total) else None
            assert value == wanted, label(measure.path)


@pytest.mark.parametrize("name", SCORED)
def test_predictions_do_not_differ_from_themselves(name: str, tmp_path: Path) -> None:
    files = PUBLIC[name]
    report = score(name, files, tmp_path, ["--compare", str(public_file(files.folder, files.predictions))])
    differences: dict[str, Any] = report["comparison"]["differences"]
    assert set(differences) == set(report["headline"])
    for found in differences.values():
        assert (found["difference"], found["low"], found["high"], found["p_value"]) == (0, 0, 0, 1)
    assert report["comparison"]["changed"] == 0
    assert json.dumps(report, allow_nan=False)
