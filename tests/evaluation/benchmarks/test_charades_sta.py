"""Charades-STA: who is counted, which forms are read, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.charades_sta import BENCHMARK
from d2vlm_pipeline.evaluation.benchmarks.grounding import Asked, Grounding, GroundingRules, Said
from d2vlm_pipeline.evaluation.benchmarks.grounding.scoring import first_ious
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Query, Scored

TRUTH = [("a.mp4", 0.0, 10.0), ("a.mp4", 5.0, 15.0), ("b.mp4", 2.0, 4.0), ("c.mp4", 1.0, 9.0)]


def truth_file(folder: Path, **more: Any) -> Path:
    path = folder / "truth.json"
    rows = [
        {"id": k, "image_id": video, "caption": f"query {k}", "timestamp": [start_s, end_s], **more}
        for k, (video, start_s, end_s) in enumerate(TRUTH)
    ]
    path.write_text(json.dumps({"annotations": rows}))
    return path


def predictions_file(folder: Path, said: dict[str, Any]) -> Path:
    path = folder / "said.json"
    path.write_text(json.dumps(said))
    return path


def scored(folder: Path, said: dict[str, Any], protocol: str = "strict", **more: Any) -> Scored:
    files = Files(predictions_file(folder, said), (truth_file(folder, **more),))
    return BENCHMARK.score(BENCHMARK.read(files), BENCHMARK.protocols[protocol].rules)


RIGHT = {str(k): {"timestamp": [*true], "vid": video} for k, (video, *true) in enumerate(TRUTH)}


def test_the_benchmark_is_found_by_its_name() -> None:
    assert find_benchmark("charades-sta") is BENCHMARK


@pytest.mark.parametrize("protocol", BENCHMARK.protocols)
def test_the_truth_itself_scores_100(tmp_path: Path, protocol: str) -> None:
    metrics = scored(tmp_path, RIGHT, protocol).metrics
    assert metrics == {"R1@0.3": 100.0, "R1@0.5": 100.0, "R1@0.7": 100.0, "mIoU": 100.0}


def test_both_forms_of_predictions_say_the_same(tmp_path: Path) -> None:
    flat = {"0": {"timestamp": [0, 8]}, "1": {"query": "q"}, "2": {"timestamp": [2, 3]}, "3": {}}
    nested = {
        "0": {"timestamp": [[0, 8]]},
        "1": {"timestamp": []},
        "2": {"timestamp": [[2, 3]]},
        "3": {"timestamp": []},
    }
    for protocol in BENCHMARK.protocols:
        first, second = scored(tmp_path, flat, protocol), scored(tmp_path, nested, protocol)
        assert (first.metrics, first.queries, first.counts) == (second.metrics, second.queries, second.counts)


def test_the_text_file_numbers_its_queries_from_0(tmp_path: Path) -> None:
    path = tmp_path / "charades_sta_test.txt"
    path.write_text("".join(f"{video} {start_s} {end_s}##a query.\n" for video, start_s, end_s in TRUTH))
    asked = BENCHMARK.read(Files(predictions_file(tmp_path, RIGHT), (path,))).asked
    assert [query.id for query in asked] == ["0", "1", "2", "3"]
    assert asked[1] == Asked("1", "a.mp4", "a query", ((5.0, 15.0),))


def test_each_protocol_divides_by_what_it_says(tmp_path: Path) -> None:
    said = {"0": RIGHT["0"], "1": {"timestamp": []}}
    shares = {name: scored(tmp_path, said, name).metrics["R1@0.5"] for name in BENCHMARK.protocols}
    assert shares == {"strict": 25.0, "official": 50.0, "official:timechat": 50.0, "official:d2vlm": 100.0}
    counts = scored(tmp_path, said).counts
    assert (counts.queries, counts.parsed, counts.unparsed, counts.missing) == (4, 1, 1, 2)


def test_only_the_authors_script_counts_a_prediction_of_no_query(tmp_path: Path) -> None:
    said = {**RIGHT, "99": {"timestamp": [0, 1]}}
    assert scored(tmp_path, said, "official:d2vlm").metrics["R1@0.5"] == 80.0
    for protocol in ("strict", "official"):
        with pytest.raises(UserError, match=r"said.json: '99': no query '99'"):
            scored(tmp_path, said, protocol)


def test_each_trap_moves_the_figure_it_is_about(tmp_path: Path) -> None:
    said = {"0": RIGHT["0"], "1": {"timestamp": []}}
    moved = [trap.rules for trap in BENCHMARK.traps]
    files = Files(predictions_file(tmp_path, said), (truth_file(tmp_path),))
    material = BENCHMARK.read(files)
    assert [BENCHMARK.score(material, rules).metrics["R1@0.3"] for rules in moved] == [100.0, 50.0]
    assert {trap.protocol for trap in BENCHMARK.traps} <= set(BENCHMARK.protocols)


def test_measures_make_up_the_metrics(tmp_path: Path) -> None:
    result = scored(tmp_path, {"0": {"timestamp": [0, 8]}, "2": {"timestamp": [2, 3]}})
    for measure in result.measures:
        sums = measure.contribution.stats_RS.sum(axis=0)
        assert measure.unit * measure.contribution.combine(sums) == result.metrics[measure.path[0]]
    assert result.metrics["mIoU"] == pytest.approx(100 * (0.8 + 0.5) / 4)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"0": {"timestamp": [1]}}, r"said.json: '0': timestamp: expected \[start, end\]"),
        ({"0": {"timestamp": [[1, 2, 3]]}}, r"'0': timestamp: item 1: expected \[start, end\]"),
        ({"0": {"timestamp": [1, True]}}, r"'0': timestamp: item 2: expected a number"),
        ({"0": {"timestamp": [1, math.inf]}}, r"'0': timestamp: item 2: inf is no finite number"),
        ({"0": {"timestamp": [1, 10**400]}}, r"'0': timestamp: item 2: .* no finite number"),
        ({"0": {"timestamp": "3-5"}}, r"'0': timestamp: expected a list"),
        ({"0": [1, 2]}, r"'0': expected a JSON object"),
        ({"0": {"timestamp": [1, 2], "vid": "b.mp4"}}, r"'0': video 'b.mp4', but the query is about 'a.mp4'"),
        ({"q": {"timestamp": [1, 2]}}, r"'q': no query 'q' in the truth"),
        ({"0": {"timestamp": [31, 32]}}, r"'0': \[31, 32\] is beyond the video, which lasts 30 s"),
        ({"0": {"timestamp": [3, 3200]}}, r"'0': \[3, 3200\] is beyond the video"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, said: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        scored(tmp_path, said, duration=30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"annotations": [{"id": 1}]}', r"t.json: entry 1: no key"),
        ('{"annotations": [{"id": 1, "image_id": "a", "caption": "c", "timestamp": [5, 2]}]}', "no interval"),
        (
            '{"annotations":[{"id": 1, "image_id": "a", "caption": "", "timestamp": [1, 9], "duration": 8}]}',
            r"entry 1: timestamp: ends at 9 s but the video lasts 8 s",
        ),
        ('{"annotations": [{"id": 1', r"t.json:1: not JSON"),
        ("", "empty|no queries"),
        ("a 1 2##q\nb 1##q\n", r"t.json:2: expected `VIDEO START END##sentence`"),
        ("a 3 2##q\n", r"t.json:1: \[3, 2\] is no interval"),
        ("a nan 2##q\n", r"t.json:1: \[nan, 2\] is no interval"),
    ],
)
def test_a_wrong_truth_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(UserError, match=message):
        BENCHMARK.read(Files(predictions_file(tmp_path, RIGHT), (tmp_path / "t.json",)))


def test_an_interval_that_ends_before_it_starts_is_wrong_and_told(tmp_path: Path) -> None:
    result = scored(tmp_path, {**RIGHT, "0": {"timestamp": [9, 1]}})
    assert result.metrics["R1@0.3"] == 75.0
    assert any(note.startswith("1 intervals end where they start") for note in result.notes)


def test_the_first_of_several_intervals_counts_and_that_is_told(tmp_path: Path) -> None:
    result = scored(tmp_path, {**RIGHT, "0": {"timestamp": [[20, 30], [0, 10]]}})
    assert result.metrics["R1@0.3"] == 75.0
    assert any("several intervals" in note for note in result.notes)


TIMES = st.floats(allow_nan=False, allow_infinity=False)
SPANS = st.tuples(TIMES, TIMES)


@given(st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=6))
def test_an_iou_is_a_share_whatever_the_times(pairs: list[tuple[Any, Any]]) -> None:
    ious = first_ious([Query("q", "v", "parsed", truth=(true,), said=(said,)) for true, said in pairs])
    assert ((ious >= 0) & (ious <= 1)).all()


@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_intervals_that_are_all_later_by_as_much_have_the_same_iou(
    later_s: int, start_s: int, length_s: int, said_s: int, said_length_s: int
) -> None:
    def query(by_s: int) -> Query:
        true = (start_s + by_s, start_s + length_s + by_s)
        said = (said_s + by_s, said_s + said_length_s + by_s)
        return Query("q", "v", "parsed", truth=(true,), said=(said,))

    first, later = first_ious([query(0), query(later_s)])
    assert first == later


@given(st.permutations(list(RIGHT)), st.lists(st.floats(0, 20), min_size=8, max_size=8))
def test_the_order_of_predictions_changes_nothing(order: list[str], times: list[float]) -> None:
    asked = tuple(Asked(str(k), video, "", (tuple(true),)) for k, (video, *true) in enumerate(TRUTH))
    said = {key: Said(key, None, ((times[2 * k], times[2 * k + 1]),), key) for k, key in enumerate(RIGHT)}
    both = [Grounding(asked, tuple(said[key] for key in keys)) for keys in (list(RIGHT), order)]
    for over in ("queries", "predicted", "parsed"):
        first, second = (BENCHMARK.score(each, GroundingRules(over=over)).metrics for each in both)
        assert first == second


def test_a_comparison_shows_intervals_where_no_words_were_said(tmp_path: Path) -> None:
    truth = truth_file(tmp_path)
    (tmp_path / "old.json").write_text(json.dumps({"0": {"timestamp": [[20, 25], [1, 2], [3, 4], [5, 6]]}}))
    files = ["--predictions", str(predictions_file(tmp_path, RIGHT)), "--ground-truth", str(truth)]
    compared = ["--compare", str(tmp_path / "old.json")]
    result = CliRunner().invoke(main, ["score", "--benchmark", "charades-sta", *files, *compared])
    assert "better: 0 (a.mp4) 0.0 to 100.0: 20-25 s, 1-2 s, 3-4 s, … then 0-10 s" in result.stdout
    assert "''" in result.stdout  # what was not said at all
