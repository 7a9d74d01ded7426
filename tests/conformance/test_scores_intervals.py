"""Figures of the public evaluators of intervals come out as they were recorded."""

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.public import public_file
from conformance.scoring import PublicFiles
from conformance.scoring import score as command
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


QVH = "moment_detr_qvhighlights"
VAL = "highlight_val_release.jsonl"
PERTURBED = "perturbed_val_seed17"


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("sample_val_preds", VAL),
        ("qd_detr_val_preds", VAL),
        (PERTURBED, VAL),
        ("subset_mr_only", "subset_gt.jsonl"),
        ("subset_hl_only", "subset_gt.jsonl"),
    ],
)
def test_qvhighlights_equals_moment_detr(name: str, truth: str) -> None:
    result = scored("qvhighlights", "official", QVH, f"{name}.jsonl", truth)
    assert result.metrics == recorded(QVH, f"{name}.expected.json")


@pytest.mark.parametrize("name", ["sample_val_preds", "qd_detr_val_preds"])
def test_qvhighlights_equals_what_was_shipped(name: str) -> None:
    result = scored("qvhighlights", "official", QVH, f"{name}.jsonl", VAL)
    assert result.metrics == recorded(QVH, f"{name}.shipped_expected.json")


def test_highlights_equal_timechat() -> None:
    result = scored("timechat-vhd", "official", "timechat_vhd", "timechat_vhd_pred.json", "gt.jsonl")
    assert result.metrics == recorded("timechat_vhd", "timechat_vhd_pred.expected.json")
    assert result.counts.missing == 87


def test_all_expected_files_of_intervals_are_compared() -> None:
    here = Path(__file__).read_text()
    for folder in ("charades_sta", QVH, "timechat_vhd"):
        for path in public_file(folder).glob("*expected.json"):
            assert path.name.split(".")[0] in here, path


def test_strict_equals_official_where_no_trap_is_in_the_way() -> None:
    sample = scored("qvhighlights", "strict", QVH, "sample_val_preds.jsonl", VAL)
    published = recorded(QVH, "sample_val_preds.expected.json")
    full = sample.metrics["full"]
    assert isinstance(full, dict)
    for name, by_threshold in published["full"].items():
        assert full[name] == pytest.approx(by_threshold, abs=0.0051)


COMMANDS = [
    ("qvhighlights", "official", PublicFiles(QVH, f"{PERTURBED}.jsonl", (VAL,))),
    ("timechat-vhd", "official", PublicFiles("timechat_vhd", "timechat_vhd_pred.json", ("gt.jsonl",))),
    ("charades-sta", "official:d2vlm", PublicFiles("charades_sta", FORMS[1], (TRUTHS[1],))),
]


@pytest.mark.parametrize(("benchmark", "protocol", "files"), COMMANDS)
def test_the_command_reports_the_same_figures(
    benchmark: str, protocol: str, files: PublicFiles, tmp_path: Path
) -> None:
    report = command(benchmark, files, tmp_path, ["--protocol", protocol])
    direct = scored(benchmark, protocol, files.folder, files.predictions, files.truths[0])
    assert report["metrics"] == direct.metrics
    assert report["protocol"] == protocol
    assert report["counts"]["queries"] == direct.counts.queries
    (path, interval), *_ = report["intervals"].items()
    assert interval["low"] < interval["value"] < interval["high"], path


def test_traps_say_what_they_move_on_the_perturbed_truth(tmp_path: Path) -> None:
    report = command(*COMMANDS[0][::2], tmp_path)
    moved = {trap["why"]: trap["line"] for trap in report["traps"]}
    assert "+1.68 full/MR-R1/0.5" in moved["R1 takes the first window of the list, not the best scored one"]
    assert "-1.14 short/MR-mAP/average" in moved[
        "short, middle and long count windows as wrong that find a true window of another length"
    ]
