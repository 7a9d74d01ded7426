"""Figures of the public evaluators of intervals come out as they were recorded."""

import json
from typing import Any

import pytest

from conformance.public import public_file
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored


def recorded(*parts: str) -> Any:
    return json.loads(public_file(*parts).read_text())


def scored(benchmark: str, protocol: str, folder: str, predictions: str, truth: str) -> Scored:
    found = find_benchmark(benchmark)
    files = Files(public_file(folder, predictions), (public_file(folder, truth),))
    return found.score(found.read(files), found.protocols[protocol].rules)


FORMS = ["perturbed_pred.timechat_format.json", "perturbed_pred.d2vlm_format.json"]
TRUTHS = ["perturbed_gt.json", "charades_sta_test.dev.txt"]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("predictions", FORMS)
@pytest.mark.parametrize("protocol", ["strict", "official", "official:timechat"])
def test_charades_over_all_queries(protocol: str, predictions: str, truth: str) -> None:
    expected = recorded("charades_sta", "perturbed.expected.json")
    wanted = {
        **expected["timechat_eval_tvg"],
        "mIoU": expected["mIoU_percent_over_all_queries_by_definition"],
    }
    result = scored("charades-sta", protocol, "charades_sta", predictions, truth)
    assert result.metrics == pytest.approx(wanted, abs=1e-6)
    assert result.counts.queries == expected["n"] and result.counts.unparsed == expected["n_empty"]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("predictions", FORMS)
def test_charades_as_the_authors_divide(predictions: str, truth: str) -> None:
    expected = recorded("charades_sta", "perturbed.expected.json")["d2vlm_eval_in_timechat_format"]
    parsed, miou = expected.pop("denominator_n_parsed"), expected.pop("mIoU_fraction")
    result = scored("charades-sta", "official:d2vlm", "charades_sta", predictions, truth)
    assert result.metrics == pytest.approx({**expected, "mIoU": 100 * miou}, abs=1e-6)
    assert result.counts.parsed == parsed


@pytest.mark.parametrize("protocol", ["official", "official:timechat"])
def test_charades_of_a_sample_of_the_queries(protocol: str) -> None:
    expected = recorded("charades_sta", "timechat.expected.json")
    result = scored("charades-sta", protocol, "charades_sta", "timechat_pred.json", "timechat_gt.json")
    found = {name: result.metrics[name] for name in expected["expected"]}
    assert found == pytest.approx(expected["expected"], abs=1e-6)
    assert result.counts.parsed + result.counts.unparsed == expected["n_pred"]
    assert result.counts.unparsed == expected["n_empty_pred"]
