"""E.T. Bench under the public scripts' rules gives what they gave, and their parsers' cases come out."""

import json

import pytest

from conformance.public import public_file
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.engine import Settings, score_files
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.evaluation.reading import d2vlm_intervals, original_described, original_intervals

PLAIN, HALVES = "etbench_synthetic_pred.json", "etbench_synthetic_pred.evi_format.json"


def cases(section: str) -> list[dict]:
    found: list[dict] = json.loads(public_file("etbench", "unit_cases.expected.json").read_text())[section]
    assert found
    return found


def listed(spans: tuple) -> list | None:
    return [list(span) for span in spans] or None


@pytest.mark.parametrize(
    ("predictions", "expected", "protocol"),
    [
        (PLAIN, "etbench_synthetic_pred.original.expected.json", "official"),
        (PLAIN, "etbench_synthetic_pred.original.expected.json", "official:original"),
        (PLAIN, "etbench_synthetic_pred.strict_rvq.expected.json", "official:strict-rvq"),
        (HALVES, "etbench_synthetic_pred.evi_format.new_compute_metrics.expected.json", "official:d2vlm"),
    ],
)
def test_every_figure_of_the_public_script_comes_out(predictions: str, expected: str, protocol: str) -> None:
    wanted = json.loads(public_file("etbench", expected).read_text())
    scored = score(public_file("etbench", predictions), protocol)
    for task, sources in wanted["per_task_source"].items():
        for source, figures in sources.items():
            found = scored.metrics["per_task_source"][task][source]
            assert set(found) - {"METEOR"} == set(figures), (task, source)
            for name, value in figures.items():
                # Random strings enter the similarity, and who gets which depends on the process.
                tolerance = 1e-3 if name == "SentSim" else 1e-4 if name == "CIDEr" else 1e-6
                assert found[name] == pytest.approx(value, abs=tolerance), (task, source, name)
    assert list(scored.metrics["overall"]) == wanted["overall_order"]
    assert list(scored.metrics["overall"].values()) == pytest.approx(wanted["overall_fraction"], abs=1e-3)
    assert len(scored.queries) == scored.counts.queries == 640


def test_intervals_of_the_parser_cases() -> None:
    for case in cases("tvg_format"):
        assert listed(original_intervals(case["text"]).answer) == case["parsed"], case["text"]


def test_halves_of_the_parser_cases() -> None:
    for case in cases("tvg_format_evi"):
        said = d2vlm_intervals(case["text"])
        found = [listed(said.answer), listed(said.evidence)]
        assert found == case["parsed_answer_then_evidence"], case["text"]


def test_captions_of_the_parser_cases() -> None:
    for case in cases("dvc_format"):
        found = original_described(case["text"])
        assert [listed(found.spans), list(found.captions) or None] == case["parsed"], case["text"]


def test_quirks_of_the_scripts(tmp_path) -> None:
    for case in cases("quirk_cases"):
        task = case["case"][:3].lower()
        rows = [
            {"task": task, "source": "s", "idx": number, "video": f"{number}.mp4", "q": "?", **sample}
            for number, sample in enumerate(case["samples"])
        ]
        path = tmp_path / "p.json"
        path.write_text(json.dumps(rows))
        protocol = "official:d2vlm" if "D2VLM" in case["case"] else "official:original"
        found = score(path, protocol).metrics["per_task_source"][task]["s"]
        assert found == pytest.approx(case["out"], abs=1e-6), case["case"]


@pytest.mark.parametrize("predictions", [PLAIN, HALVES])
def test_strict_counts_every_question_and_says_what_others_would_make_of_it(predictions: str) -> None:
    files = Files(public_file("etbench", predictions))
    report = score_files(find_benchmark("etbench"), files, settings=Settings(resamples=20))
    table = report.scored.metrics["table"]
    assert table["EVS"] < 80.957  # answers that cannot be read count
    assert table["TVG"] > 57.916 and table["VHD"] >= 54.0  # more of them can
    assert report.intervals[("table", "TVG")].n == 120
    lines = [other.line for other in report.others]
    assert any("evs answers that cannot be read leave the mean" in line and "+" in line for line in lines)
    united = next(other for other in report.others if other.number == 5)
    assert bool(united.moved) == (predictions == HALVES)


def score(path, protocol: str) -> Scored:
    benchmark = find_benchmark("etbench")
    return benchmark.score(benchmark.read(Files(path)), benchmark.protocols[protocol].rules)
