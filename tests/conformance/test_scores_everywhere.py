"""What holds for the report of every benchmark, whatever it scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.public import public_file
from conformance.scoring import PUBLIC, score
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import REGISTRY, find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.figures import label, leaf
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.evaluation.captions import java

SCORED = sorted(set(REGISTRY) & set(PUBLIC))
ROUNDED = {"video-mme": 0.051}  # publishes one decimal, others two at least


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR has tests of its own; here it would cost half a minute."""
    monkeypatch.setattr(java, "find_java", lambda: None)


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
            if np.isfinite(total):
                assert value == pytest.approx(total, abs=ROUNDED.get(name, 0.0051)), label(measure.path)
            else:  # some scripts call a share of none 0
                assert value in (None, 0.0), label(measure.path)


def reordered(text: str, suffix: str) -> str:
    """The same predictions the other way round: lines of a file, entries of a list, keys of an object."""
    if suffix == ".jsonl":
        return "\n".join(reversed(text.splitlines()))
    value = json.loads(text)
    if isinstance(value, list):
        return json.dumps(value[::-1])
    turned = {key: value[key] for key in reversed(value)}
    return json.dumps({key: _turned(part) for key, part in turned.items()})


def _turned(part: Any) -> Any:
    """An object of objects the other way round; what else stands there as it is."""
    if isinstance(part, dict) and all(isinstance(inner, list | dict) for inner in part.values()):
        return dict(reversed(part.items()))
    return part


def twice(text: str, suffix: str) -> str:
    """The same predictions with the first of them once more."""
    if suffix == ".jsonl":
        return f"{text.splitlines()[0]}\n{text}"
    value = json.loads(text)
    if isinstance(value, list):
        return json.dumps([*value, value[0]])
    outer = value.get("results", value)
    key, entry = next(iter(outer.items()))
    again = f"{json.dumps(key)}: {json.dumps(entry)}"
    return json.dumps(value).replace(again, f"{again}, {again}", 1)


def changed_copy(name: str, folder: Path, change: Callable[[str, str], str]) -> Files:
    files = PUBLIC[name]
    source, copy = public_file(files.folder, files.predictions), folder / files.predictions
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        target = copy / path.name if source.is_dir() else copy
        target.parent.mkdir(exist_ok=True)
        target.write_text(change(path.read_text(encoding="utf-8"), path.suffix), encoding="utf-8")
    return Files(copy, tuple(public_file(files.folder, truth) for truth in files.truths))


def strict(name: str, files: Files) -> Scored:
    benchmark = find_benchmark(name)
    return benchmark.score(benchmark.read(files), benchmark.protocols["strict"].rules)


@pytest.mark.parametrize("name", SCORED)
def test_the_order_of_predictions_is_nothing(name: str, tmp_path: Path) -> None:
    as_given = strict(name, changed_copy(name, tmp_path, lambda text, _: text))
    turned = strict(name, changed_copy(name, tmp_path, reordered))
    assert turned.counts == as_given.counts and turned.headline == as_given.headline
    for path in as_given.headline:
        assert leaf(turned.metrics, path) == pytest.approx(leaf(as_given.metrics, path), abs=1e-9), path


@pytest.mark.parametrize("name", SCORED)
def test_a_prediction_given_twice_is_an_error(name: str, tmp_path: Path) -> None:
    files = changed_copy(name, tmp_path, twice)
    with pytest.raises(UserError) as caught:
        strict(name, files)
    assert str(files.predictions) in str(caught.value) and "\n" not in str(caught.value)


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
