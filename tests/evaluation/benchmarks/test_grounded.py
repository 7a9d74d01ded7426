"""Our own records are scored as the pipeline scores them."""

from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation import EvaluationConfig, score_system
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.timeline import Prediction, Sample, dump_jsonl
from evaluation.scoring_records import places, predict, sample

SAMPLES = [
    sample("tvg", [(2.0, 6.0)], key="a", video="v1"),
    sample("tvg", [(1.0, 3.0)], key="b", video="v2"),
    sample("tvg", [], key="c", video="v3"),
    sample("tal", [(0.0, 2.0), (4.0, 6.0)], key="d", video="v1"),
    sample("mcq", [], key="e", video="v2", right=1),
]
PREDICTIONS = [
    places(SAMPLES[0], [(2.0, 5.0)]),
    places(SAMPLES[3], [(0.0, 2.0), (3.0, 6.0)]),
    predict(SAMPLES[4], "</evi>(B)."),
]


def written(path: Path, records: list) -> Path:
    path.write_text(dump_jsonl(records), encoding="utf-8")
    return path


def score(folder: Path, predictions: list[Prediction], samples: list[Sample]) -> Scored:
    benchmark = find_benchmark("grounded")
    files = Files(written(folder / "p.jsonl", predictions), (written(folder / "s.jsonl", samples),))
    return benchmark.score(benchmark.read(files), benchmark.protocols["strict"].rules)


def test_figures_are_the_pipeline_s(tmp_path: Path) -> None:
    found = score(tmp_path, PREDICTIONS, SAMPLES)
    wanted = score_system(SAMPLES, PREDICTIONS, EvaluationConfig(resamples=10))["test-iid"]
    for task, metrics in wanted.items():
        for name, value in metrics.items():
            assert found.metrics[task][name] == pytest.approx(value["value"], abs=1e-4), (task, name)
    assert set(found.metrics) == {"tvg", "tal", "mcq"}
    assert found.headline[0] == ("tvg", "f1")
    assert (found.counts.queries, found.counts.parsed, found.counts.missing) == (5, 3, 2)


def test_measures_know_their_samples(tmp_path: Path) -> None:
    found = score(tmp_path, PREDICTIONS, SAMPLES)
    ids = {measure.path: measure.ids for measure in found.measures}
    assert ids[("tvg", "f1")] == ("a", "b") and ids[("tvg", "absent_recall")] == ("c",)


def test_splits_are_pooled_by_task_and_shown_apart(tmp_path: Path) -> None:
    other = sample("tvg", [(2.0, 6.0)], key="z", video="v9", split="test-ood")
    found = score(tmp_path, [*PREDICTIONS, places(other, [(8.0, 9.0)])], [*SAMPLES, other])
    by_split = found.metrics["splits"]
    assert by_split["test-iid"]["tvg"]["miou"] == pytest.approx(37.5)
    assert by_split["test-ood"]["tvg"]["miou"] == 0.0
    assert found.metrics["tvg"]["miou"] == pytest.approx(25.0)


def test_a_split_that_nobody_answered_is_left_out_and_said_so(tmp_path: Path) -> None:
    found = score(tmp_path, PREDICTIONS, [*SAMPLES, sample("tvg", key="t", split="train")])
    assert found.counts.queries == 5
    assert found.notes[-1] == "split train: none of its 1 samples was answered, it is left out"


def test_what_answered_is_noted_and_a_mixture_is_seen(tmp_path: Path) -> None:
    mixed = [*PREDICTIONS[:2], PREDICTIONS[2].model_copy(update={"system": "prior"})]
    assert score(tmp_path, mixed, SAMPLES).notes == (
        "1 answers of prior: model m (d), seed 0, decoding {}",
        "2 answers of sft: model m (d), seed 0, decoding {}",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "p.jsonl:4: two predictions for a, the first at "),
        ("x", "p.jsonl:4: the ground truth has no sample x"),
        (None, "p.jsonl:4: no sample_id"),
        ("b", "p.jsonl:4: names v1 (tvg), its sample v2 (tvg)"),
    ],
)
def test_predictions_that_do_not_belong_are_refused(name: str | None, message: str, tmp_path: Path) -> None:
    stray = PREDICTIONS[0].model_copy(update={"sample_id": name})
    with pytest.raises(UserError) as caught:
        score(tmp_path, [*PREDICTIONS, stray], SAMPLES)
    assert message in str(caught.value)
