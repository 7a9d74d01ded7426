"""Public files with one thing wrong in them: a figure or one line with the place, for every benchmark."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.public import public_file
from conformance.scoring import PUBLIC
from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.evaluation.benchmarks import REGISTRY, find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files
from d2vlm_pipeline.evaluation.captions import java

SCORED = sorted(set(REGISTRY) & set(PUBLIC))
KEPT = 12
MUTATIONS = 16
IN_TRUTH = 8  # truth is read whole

# Written as text, because not all of it is JSON that `json` would write.
NASTY = [
    *("null", "true", "-1", "0", "0.1", "1e308", "-1e308", "1e999", "NaN", "-Infinity", "9" * 400),
    *('""', '"x"', '"1.5"', '"\\ud800"', "[]", "[null]", "[[]]", '[["a", "b"]]', "[1]", "[3, 1]", "[[3, 1]]"),
    *("{}", '{"a": 1}'),
]
_MARK = "@@here@@"


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR has tests of its own; here it would cost half a minute."""
    monkeypatch.setattr(java, "find_java", lambda: None)


def cut(value: Any, depth: int = 2) -> Any:
    """The first entries alone, so that scoring them takes no time."""
    if depth and isinstance(value, list):
        return [cut(item, depth - 1) for item in value[:KEPT]]
    if depth and isinstance(value, dict):
        return {key: cut(item, depth - 1) for key, item in list(value.items())[:KEPT]}
    return value


def places(value: Any) -> Iterator[Callable[[Any], None]]:
    """Ways to write something in the place of a part of a JSON value."""
    keys = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    for key in keys:
        yield lambda new, key=key: value.__setitem__(key, new)
        yield from places(value[key])


def damaged(text: str, rng: random.Random) -> str:
    """JSON or JSON lines with something else in the place of one part."""
    lines = text.splitlines()
    number = rng.randrange(len(lines))
    value = json.loads(lines[number])
    rng.choice(list(places(value)))(_MARK)
    lines[number] = json.dumps(value).replace(f'"{_MARK}"', rng.choice(NASTY))
    return "\n".join(lines)


def short_text(path: Path) -> str:
    """A file with its first entries alone: one line of JSON, or lines of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.dumps(cut(json.loads(text)))
    return "\n".join(text.splitlines()[:KEPT])


def short_copies(name: str, folder: Path) -> Files:
    files = PUBLIC[name]
    predictions = public_file(files.folder, files.predictions)
    truths = [public_file(files.folder, truth) for truth in files.truths]
    if predictions.is_dir():
        predictions = sorted(predictions.iterdir())[0]
    copies = []
    for number, path in enumerate([predictions, *truths]):
        copy = folder / f"{number}{path.suffix}"
        copy.write_text(short_text(path) if number == 0 else path.read_text(), encoding="utf-8")
        copies.append(copy)
    return Files(copies[0], tuple(copies[1:]))


def outcome(name: str, files: Files) -> str:
    """`scored`, or the message; anything else fails."""
    benchmark = find_benchmark(name)
    try:
        scored = benchmark.score(benchmark.read(files), benchmark.protocols["strict"].rules)
    except UserError as error:
        message = str(error)
        assert "\n" not in message, message
        assert any(str(path) in message for path in (files.predictions, *files.truths)), message
        return message
    assert canonical_json(scored.metrics)
    return "scored"


@pytest.mark.parametrize("name", SCORED)
def test_one_wrong_value_is_a_figure_or_one_line(name: str, tmp_path: Path) -> None:
    files, rng = short_copies(name, tmp_path), random.Random(0)
    text = files.predictions.read_text()
    assert outcome(name, files) == "scored"
    seen = set()
    for _ in range(MUTATIONS):
        files.predictions.write_text(damaged(text, rng), encoding="utf-8")
        seen.add(outcome(name, files) == "scored")
    assert False in seen


@pytest.mark.parametrize("name", [name for name in SCORED if PUBLIC[name].truths])
def test_one_wrong_value_in_the_truth_is_a_figure_or_one_line(name: str, tmp_path: Path) -> None:
    files, rng = short_copies(name, tmp_path), random.Random(0)
    for truth in files.truths:
        text = truth.read_text(encoding="utf-8")
        for _ in range(IN_TRUTH):
            truth.write_text(damaged(text, rng), encoding="utf-8")
            outcome(name, files)
        truth.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", SCORED)
def test_a_file_that_ends_too_soon_is_one_line(name: str, tmp_path: Path) -> None:
    files, rng = short_copies(name, tmp_path), random.Random(0)
    data = files.predictions.read_bytes()
    for _ in range(8):
        size = rng.randrange(1, len(data) - 1)
        files.predictions.write_bytes(data[:size])
        if not data[size:].startswith(b"\n") and not data[:size].endswith(b"\n"):
            assert outcome(name, files) != "scored"
