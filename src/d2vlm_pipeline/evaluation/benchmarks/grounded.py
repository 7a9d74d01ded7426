"""Our own records: predictions as any of our systems writes them, samples of any tasks as truth.

Both are JSON lines (Prediction, Sample). The figures are those of the evaluation pipeline, by the same code.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import BaseModel, JsonValue

from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.evaluation.benchmarks.files import Row, unique
from d2vlm_pipeline.evaluation.benchmarks.records import (
    Benchmark,
    Counts,
    Files,
    Measure,
    Protocol,
    Query,
    Scored,
    Status,
    Tree,
)
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import MetricContext
from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS, TASK_METRICS
from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.evaluation.similarity import default_encoder
from d2vlm_pipeline.timeline import Prediction, Sample
from d2vlm_pipeline.timeline.jsonl import read_jsonl

SPLITS = "splits"


@dataclass(frozen=True)
class Records:
    """Samples of the splits that were answered, each with its prediction; `left_out` counts the others."""

    pairs: tuple[Pair, ...]
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class GroundedRules:
    """Temporal IoU thresholds; metrics without `@` are means over them."""

    thresholds: tuple[float, ...] = EvaluationConfig().thresholds


def read(files: Files) -> Records:
    """Predictions beside their samples.

    Raises:
        UserError: a line that is no record, two of one sample, or a prediction that does not belong to one.
    """
    samples = unique((sample.value.id, sample) for path in files.truths for sample in _rows(path, Sample))
    said = _rows(files.predictions, Prediction)
    for row in said:
        _check_belongs(row, samples)
    answers = unique(((row.value.sample_id, row) for row in said), "predictions")
    answered = {samples[name].value.split for name in answers}
    left_out = Counter(row.value.split for row in samples.values())
    pairs = [
        Pair(row.value, answers[name].value if name in answers else None)
        for name, row in sorted(samples.items())
        if row.value.split in answered
    ]
    return Records(tuple(pairs), tuple(sorted((k, n) for k, n in left_out.items() if k not in answered)))


def score(records: Records, rules: GroundedRules) -> Scored:
    """Metrics by task, percent; where several splits were answered, also by split under `splits`."""
    by_task = _grouped(records.pairs, lambda sample: sample.task)
    measures = [one for task, pairs in by_task.items() for one in _measures((task,), task, pairs, rules)]
    by_split = _grouped(records.pairs, lambda sample: sample.split)
    if len(by_split) > 1:
        for split, part in by_split.items():
            for task, pairs in _grouped(part, lambda sample: sample.task).items():
                measures += _measures((SPLITS, split, task), task, pairs, rules)
    paths = {measure.path for measure in measures}
    main = [(task, name) for task, names in MAIN_METRICS.items() for name in names]
    return Scored(
        metrics=_tree(measures),
        measures=tuple(measures),
        queries=tuple(_query(pair) for pair in records.pairs),
        counts=_counts(records.pairs),
        headline=tuple(path for path in main if path in paths),
        notes=(*_systems(records.pairs), *_left_out(records)),
    )


def _systems(pairs: Sequence[Pair]) -> Iterator[str]:
    """What answered, and how; more than one line where a file mixes systems."""
    groups: dict[tuple[str, str, int], list[Prediction]] = {}
    for said in (pair.prediction for pair in pairs):
        if said is not None:
            model = f"{said.model.name} ({said.model.digest[:12]})"
            groups.setdefault((said.system, model, said.seed), []).append(said)
    for (system, model, seed), answers in sorted(groups.items()):
        decoding = canonical_json(_shared([answer.decoding for answer in answers]))
        yield f"{len(answers)} answers of {system}: model {model}, seed {seed}, decoding {decoding}"


def _shared(settings: Sequence[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """What is the same in all of them: how an answer ended, say, is its own affair."""
    first = settings[0]
    return {key: first[key] for key in first if all(other.get(key) == first[key] for other in settings)}


def _left_out(records: Records) -> Iterator[str]:
    for split, count in records.left_out:
        yield f"split {split}: none of its {count} samples was answered, it is left out"


def _measures(path: tuple[str, ...], task: str, pairs: Sequence[Pair], rules: GroundedRules) -> list[Measure]:
    # The sentence encoder loads with the first caption, and only then.
    context = MetricContext(thresholds=rules.thresholds, embed=default_encoder())
    found = TASK_METRICS[task](pairs, context)
    return [Measure((*path, name), found[name].ids, found[name]) for name in sorted(found)]


def _tree(measures: Sequence[Measure]) -> Tree:
    tree: Tree = {}
    for measure in measures:
        branch = tree
        for step in measure.path[:-1]:
            branch = cast(Tree, branch.setdefault(step, {}))
        branch[measure.path[-1]] = measure.unit * measure.contribution.total
    return tree


def _grouped(pairs: Sequence[Pair], key: Callable[[Sample], str]) -> dict[str, list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(key(pair.sample), []).append(pair)
    return dict(sorted(groups.items()))


def _rows(path: Path, model: type[BaseModel]) -> list[Row]:
    rows = [Row(f"{path}:{line}", record) for line, record in read_jsonl(path, model)]
    if not rows:
        raise UserError(f"{path}: no records; give a file that has some")
    return rows


def _check_belongs(row: Row, samples: Mapping[str, Row]) -> None:
    prediction: Prediction = row.value
    if prediction.sample_id is None:
        raise row.error("no sample_id", "score only answers to samples")
    if prediction.sample_id not in samples:
        raise row.error(f"the ground truth has no sample {prediction.sample_id}", "score it on its own truth")
    sample: Sample = samples[prediction.sample_id].value
    if prediction.video != sample.video or prediction.task not in (None, sample.task):
        raise row.error(
            f"names {prediction.video} ({prediction.task}), its sample {sample.video} ({sample.task})",
            "predict again from the present samples",
        )


def _query(pair: Pair) -> Query:
    sample, said = pair
    return Query(
        id=sample.id,
        video=sample.video,
        status=_status(pair),
        question=sample.question,
        truth=tuple((event.start_s, event.end_s) for event in sample.events),
        said=() if said is None else tuple((part.start_s, part.end_s) for part in said.answer_intervals),
        answer="" if said is None else said.answer,
        group=sample.task,
    )


def _status(pair: Pair) -> Status:
    if pair.prediction is None:
        return "missing"
    return "parsed" if pair.parsed else "unparsed"


def _counts(pairs: Sequence[Pair]) -> Counts:
    statuses = [_status(pair) for pair in pairs]
    return Counts(
        queries=len(pairs),
        parsed=statuses.count("parsed"),
        unparsed=statuses.count("unparsed"),
        missing=statuses.count("missing"),
    )


BENCHMARK: Benchmark[Records, GroundedRules] = Benchmark(
    name="grounded",
    summary="our own records, any task mix: JSON lines of predictions, JSON lines of samples",
    read=read,
    score=score,
    protocols={"strict": Protocol(GroundedRules(), "as the evaluation pipeline scores; unparsed is wrong")},
)
