"""QVHighlights: what each figure counts, what each quirk moves, and what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark, timechat_vhd
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights import BENCHMARK, highlights, moments
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import STRICT, Rules
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored

Line = dict[str, Any]

OFFICIAL = BENCHMARK.protocols["official"].rules


def asked(qid: int = 1, windows: Any = ((0, 20),), high: Any = (0,), duration: float = 20) -> Line:
    """A query on a video of ten clips; three people find the `high` ones very good, and no other."""
    return {
        "qid": qid,
        "query": "what",
        "vid": f"v{qid}",
        "duration": duration,
        "relevant_windows": [list(window) for window in windows],
        "relevant_clip_ids": list(high),
        "saliency_scores": [[4, 4, 4] for _ in high],
    }


def said(qid: int = 1, windows: Any = None, scores: Any = None) -> Line:
    line: Line = {"qid": qid, "vid": f"v{qid}"}
    if windows is not None:
        line["pred_relevant_windows"] = [list(window) for window in windows]
    if scores is not None:
        line["pred_saliency_scores"] = list(scores)
    return line


def files(folder: Path, truth: list[Line], lines: list[Line]) -> Files:
    paths = folder / "said.jsonl", folder / "truth.jsonl"
    for path, rows in zip(paths, (lines, truth), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Files(paths[0], (paths[1],))


def scored(folder: Path, truth: list[Line], lines: list[Line], rules: Rules = STRICT) -> Scored:
    return BENCHMARK.score(BENCHMARK.read(files(folder, truth, lines)), rules)


def figure(result: Scored, *path: str) -> Any:
    node: Any = result.metrics
    for name in path:
        node = node[name]
    return node


SEVERAL = [
    asked(1, [(0, 8), (20, 44), (60, 120)], [0, 1, 10], 150),
    asked(2, [(4, 10)], [2, 3], 150),
    asked(3, [(10, 30), (100, 108)], [5], 150),
]
RIGHT = [
    said(1, [(0, 8, 0.2), (20, 44, 0.9), (60, 120, 0.5)], [*[5, 5], *[0] * 8, 5, *[0] * 64]),
    said(2, [(4, 10, 0.5)], [*[0, 0], 5, 5, *[0] * 71]),
    said(3, [(10, 30, 0.2), (100, 108, 0.9)], [*[0] * 5, 5, *[0] * 69]),
]


def test_both_benchmarks_are_found_by_their_names() -> None:
    assert find_benchmark("qvhighlights") is BENCHMARK
    assert find_benchmark("timechat-vhd") is timechat_vhd.BENCHMARK


def test_the_truth_itself_scores_100_everywhere(tmp_path: Path) -> None:
    result = scored(tmp_path, SEVERAL, RIGHT)
    assert {measure.path: _value(measure) for measure in result.measures} == {
        measure.path: pytest.approx(100.0) for measure in result.measures
    }
    assert len(result.measures) == 4 * 21 + 6


def _value(measure: Any) -> float:
    sums = measure.contribution.stats_RS.sum(axis=0)
    return float(measure.unit * measure.contribution.combine(sums))


def test_measures_make_up_the_metrics(tmp_path: Path) -> None:
    lines = [*RIGHT[:1], said(2, [(5, 10, 0.5), (4, 9, 0.9)], [*[1] * 70, *[2] * 9])]
    result = scored(tmp_path, SEVERAL, lines)
    for measure in result.measures:
        assert _value(measure) == pytest.approx(figure(result, *measure.path)), measure.path
    assert figure(result, "brief", "MR-short-mAP") == figure(result, "short", "MR-mAP", "average")
    assert all(figure(result, *path) is not None for path in result.headline)


def test_a_query_without_prediction_is_wrong_or_refused_or_leaves(tmp_path: Path) -> None:
    result = scored(tmp_path, SEVERAL, RIGHT[:2])
    assert figure(result, "full", "MR-R1", "0.5") == pytest.approx(200 / 3)
    assert figure(result, "HL-min-Good", "HL-Hit1") == pytest.approx(200 / 3)
    assert (result.counts.parsed, result.counts.missing) == (2, 1)
    with pytest.raises(UserError, match=r"1 queries have no prediction, 3 the first"):
        scored(tmp_path, SEVERAL, RIGHT[:2], OFFICIAL)
    left = scored(tmp_path, SEVERAL, RIGHT[:2], timechat_vhd.BENCHMARK.protocols["official"].rules)
    assert figure(left, "HL-min-Good", "HL-Hit1") == 100.0
    assert "the figures divide by 2, not by the 3 queries" in left.notes


def test_a_query_with_empty_lists_is_unparsed_and_wrong(tmp_path: Path) -> None:
    for rules in (STRICT, OFFICIAL):
        result = scored(tmp_path, [asked()], [said(windows=[], scores=[])], rules)
        assert set(_figures(result.metrics)) == {0.0, None}
        assert result.counts.unparsed == 1


def test_a_query_that_says_one_thing_of_two_is_parsed(tmp_path: Path) -> None:
    result = scored(tmp_path, [asked()], [said(windows=[(0, 20, 1)], scores=[0] * 10)])
    assert (result.counts.parsed, result.counts.unparsed) == (1, 0)
    silent = {measure.path[-2:]: measure.contribution.unparsed for measure in result.measures}
    assert silent["MR-R1", "0.5"] == 0 and silent["HL-min-Fair", "HL-mAP"] == 1


def _figures(node: Any) -> list[float | None]:
    return [each for inner in node.values() for each in _figures(inner)] if isinstance(node, dict) else [node]


def test_a_part_by_length_without_queries_has_no_figures(tmp_path: Path) -> None:
    result = scored(tmp_path, [asked(windows=[(0, 8)])], [said(windows=[(0, 8, 1)])])
    assert figure(result, "long", "MR-mAP", "average") is None
    assert figure(result, "brief", "MR-long-mAP") is None
    assert figure(result, "short", "MR-R1", "0.95") == 100.0


def test_a_submission_about_one_thing_has_its_figures_alone(tmp_path: Path) -> None:
    moments_only = scored(tmp_path, [asked()], [said(windows=[(0, 20, 1)])])
    assert set(moments_only.metrics) == {"brief", "full", "long", "middle", "short"}
    clips_only = scored(tmp_path, [asked()], [said(scores=[1, *[0] * 9])])
    assert set(clips_only.metrics) == {"brief", "HL-min-Fair", "HL-min-Good", "HL-min-VeryGood"}


# One case for each quirk: strict says 100, the quirk alone something else.
QUIRKS: dict[str, tuple[Line, Line, tuple[str, ...], float]] = {
    "top_is_first": (
        asked(windows=[(0, 10)]),
        said(windows=[(10, 20, 0.1), (0, 10, 0.9)]),
        ("full", "MR-R1", "0.5"),
        0.0,
    ),
    "keeps_first": (
        asked(windows=[(0, 10)]),
        said(windows=[*[(10, 20, 0.1)] * 10, (0, 10, 0.9)]),
        ("full", "MR-mAP", "0.5"),
        0.0,
    ),
    "ranges_filter": (
        asked(windows=[(0, 6), (8, 20)]),
        said(windows=[(8, 20, 0.9), (0, 6, 0.8)]),
        ("short", "MR-mAP", "average"),
        50.0,
    ),
    "pads_zero": (
        asked(high=[0]),
        said(scores=[-1, -2, -3, -4, -5, -6, -7, -8, -9]),
        ("HL-min-VeryGood", "HL-mAP"),
        50.0,
    ),
    "beyond_wins": (
        asked(high=[0]),
        said(scores=[5, *[0] * 9, 9]),
        ("HL-min-VeryGood", "HL-Hit1"),
        0.0,
    ),
}


@pytest.mark.parametrize("name", QUIRKS)
def test_each_quirk_alone_moves_its_figure(tmp_path: Path, name: str) -> None:
    truth, line, path, otherwise = QUIRKS[name]
    assert figure(scored(tmp_path, [truth], [line]), *path) == pytest.approx(100.0)
    quirk = replace(STRICT, **{name: True})
    assert figure(scored(tmp_path, [truth], [line], quirk), *path) == pytest.approx(otherwise)


def test_clips_of_equal_score_count_each_or_once(tmp_path: Path) -> None:
    # One highlight alone at the top, three of nine in a tie: 1/4 at precision 1, 3/4 at 4/10.
    line = said(scores=[1, *[0] * 9])
    path = ("HL-min-Fair", "HL-mAP")
    truth = asked(high=[0, 1, 2, 3])
    assert figure(scored(tmp_path, [truth], [line]), *path) == pytest.approx(100 * (1 + 3 * 0.4) / 4)
    once = replace(STRICT, ties_once=True)
    assert figure(scored(tmp_path, [truth], [line], once), *path) == pytest.approx(100 * (1 + 0.4) / 2)


def test_equal_scores_for_all_clips_say_nothing_or_earn_what_chance_earns(tmp_path: Path) -> None:
    line, truth = said(scores=[0.0] * 10), asked(high=[0, 1])
    result = scored(tmp_path, [truth], [line])
    assert figure(result, "HL-min-Good", "HL-mAP") == 0.0 and result.counts.unparsed == 1
    counted = scored(tmp_path, [truth], [line], replace(STRICT, flat_counts=True))
    assert figure(counted, "HL-min-Good", "HL-mAP") == pytest.approx(20.0)
    assert figure(counted, "HL-min-Good", "HL-Hit1") == 100.0  # the first clip, which happens to be one


def test_every_switch_is_a_trap_of_an_official_protocol() -> None:
    switches = {name for name, on in vars(OFFICIAL).items() if on is True} - {"lenient", "rounded"}
    traps = {name for trap in BENCHMARK.traps for name, on in vars(trap.rules).items() if on is True}
    assert traps == switches
    for benchmark in (BENCHMARK, timechat_vhd.BENCHMARK):
        assert {trap.protocol for trap in benchmark.traps} <= set(benchmark.protocols)
        assert benchmark.protocols["strict"].rules == STRICT


def test_a_window_found_twice_is_right_once(tmp_path: Path) -> None:
    result = scored(tmp_path, [asked(windows=[(0, 10)])], [said(windows=[(0, 10, 0.9), (0, 10, 0.8)])])
    assert figure(result, "full", "MR-mAP", "0.95") == 100.0
    worse = scored(
        tmp_path,
        [asked(windows=[(0, 10), (12, 20)])],
        [said(windows=[(0, 10, 0.9), (0, 10, 0.8), (12, 20, 0.1)])],
    )
    assert figure(worse, "full", "MR-mAP", "0.95") == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_of_two_predictions_the_public_script_pools_windows_and_takes_the_last(tmp_path: Path) -> None:
    truth = asked(windows=[(0, 10)], high=[0])
    right = said(windows=[(0, 10, 0.9)], scores=[1, *[0] * 9])
    lines = [right, said(windows=[(10, 20, 0.1)], scores=[0] * 10)]
    result = scored(tmp_path, [truth], lines, OFFICIAL)
    assert figure(result, "full", "MR-mAP", "average") == 100.0
    assert figure(result, "full", "MR-R1", "0.5") == 0.0
    assert result.counts.duplicates == 1
    with pytest.raises(UserError, match=r"said.jsonl:2: a second prediction of query 1"):
        scored(tmp_path, [truth], lines)


def test_a_prediction_of_no_query_is_an_error_or_leaves(tmp_path: Path) -> None:
    for rules in (STRICT, OFFICIAL):
        with pytest.raises(UserError, match=r"said.jsonl:4: no query 9 in the truth"):
            scored(tmp_path, SEVERAL, [*RIGHT, said(9, [], [])], rules)
    lenient = timechat_vhd.BENCHMARK.protocols["official"].rules
    assert scored(tmp_path, SEVERAL, [*RIGHT, said(9, [], [])], lenient).counts.unknown == 1


def test_a_list_is_read_as_well_as_lines(tmp_path: Path) -> None:
    paths = files(tmp_path, SEVERAL, RIGHT)
    (tmp_path / "list.json").write_text(json.dumps(RIGHT))
    as_list = BENCHMARK.read(Files(tmp_path / "list.json", paths.truths))
    assert BENCHMARK.score(as_list, STRICT).metrics == BENCHMARK.score(BENCHMARK.read(paths), STRICT).metrics


def test_names_of_videos_as_timechat_writes_them_are_understood(tmp_path: Path) -> None:
    line = {**said(scores=[1, *[0] * 9]), "vid": "v_v1.mp4"}
    assert scored(tmp_path, [asked()], [line]).counts.parsed == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"qid": 1}, r"said.jsonl:1: neither pred_relevant_windows nor pred_saliency_scores"),
        ({**said(windows=[]), "qid": True}, r"said.jsonl:1: qid: expected an integer"),
        (said(windows=[(1, 2)]), r":1: pred_relevant_windows: item 1: expected \[start, end, score\]"),
        (said(windows=[(1, "2", 3)]), r"item 1: item 2: expected a number"),
        (said(windows=[(1, 2, math.nan)]), r"item 1: item 3: nan is no finite number"),
        (said(windows=[(1, 2, True)]), r"item 1: item 3: expected a number"),
        (said(windows=[(1, 10**400, 1)]), r"item 1: item 2: an integer .* no finite number"),
        (said(scores=[math.inf]), r"pred_saliency_scores: item 1: inf is no finite number"),
        ({**said(), "pred_saliency_scores": 3}, r"pred_saliency_scores: expected a list"),
        ({**said(windows=[]), "vid": "other"}, r"said.jsonl:1: video 'other', but query 1 is about 'v1'"),
        (said(windows=[(20, 22, 1)]), r"said.jsonl:1: \[20, 22\] is beyond the video, which lasts 20 s"),
        (said(windows=[(0, 41, 1)]), r"said.jsonl:1: \[0, 41\] is beyond the video"),
        (7, r"said.jsonl:1: expected a JSON object"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        scored(tmp_path, [asked()], [line])


def test_lines_agree_in_what_they_are_about(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"said.jsonl:2: no pred_relevant_windows, unlike the first line"):
        scored(tmp_path, SEVERAL, [said(1, windows=[]), said(2, scores=[])])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relevant_windows": []}, r"truth.jsonl:1: relevant_windows: no window"),
        ({"relevant_windows": [[5, 5]]}, r"item 1: \[5, 5\] is no interval of a video of 20 s"),
        ({"relevant_windows": [[5, 21]]}, r"item 1: \[5, 21\] is no interval of a video of 20 s"),
        ({"relevant_clip_ids": [10]}, r"relevant_clip_ids: no clip 10 among 10"),
        ({"relevant_clip_ids": [-1]}, r"relevant_clip_ids: no clip -1 among 10"),
        ({"relevant_clip_ids": []}, r"truth.jsonl:1: 0 relevant_clip_ids but 1 saliency_scores"),
        ({"saliency_scores": [[1, 2]]}, r"saliency_scores: item 1: expected 3 ratings from 0 to 4"),
        ({"saliency_scores": [[1, 2, 5]]}, r"saliency_scores: item 1: expected 3 ratings from 0 to 4"),
        ({"duration": 1}, r"duration: 1 s are no length of a video"),
        ({"duration": 1e300}, r"duration: 1e\+300 s are no length of a video"),
    ],
)
def test_a_wrong_truth_is_named_with_its_line(tmp_path: Path, changes: Line, message: str) -> None:
    with pytest.raises(UserError, match=message):
        scored(tmp_path, [{**asked(), **changes}], [said(windows=[])])


@given(st.permutations(range(3)), st.permutations(range(3)))
@settings(max_examples=20)
def test_the_order_of_lines_changes_nothing(first: list[int], second: list[int]) -> None:
    results = []
    for order in (first, second):
        lines = [RIGHT[k] if k else said(1, [(1, 8, 0.2), (60, 130, 0.5)], range(75)) for k in order]
        results.append(BENCHMARK.score(_submission(lines, SEVERAL), STRICT).metrics)
    assert results[0] == results[1]


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 50), st.integers(0, 9)), min_size=1, max_size=12),
)
@settings(max_examples=20)
def test_moments_that_are_all_later_by_as_much_score_the_same(shift_s: int, drawn: list[Any]) -> None:
    results = []
    for later_s in (0, shift_s):
        truth = asked(1, [(later_s + 4, later_s + 12), (later_s + 20, later_s + 60)], [0], 150)
        windows = [(start + later_s, start + length + later_s, score) for start, length, score in drawn]
        results.append(BENCHMARK.score(_submission([said(1, windows)], [truth]), STRICT).metrics)
    assert results[0] == results[1]


def _submission(lines: list[Line], truth: list[Line]) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return BENCHMARK.read(files(Path(folder), truth, lines))


SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(SCORES, st.data())
def test_precision_of_clips_is_the_area_under_the_best_precision(scores: list[float], data: Any) -> None:
    ratings = data.draw(st.lists(st.integers(0, 4), min_size=len(scores), max_size=len(scores)))
    ratings_CA = np.repeat(np.array(ratings, dtype=np.int8)[:, None], 3, axis=1)
    found = highlights.average_precision([np.array(scores)], [ratings_CA], [3], ties_once=False)[0, 0, 0]
    clips = list(zip(scores, ratings, strict=True))
    precisions = {}
    for threshold in scores:
        seen = [rating >= 3 for score, rating in clips if score >= threshold]
        precisions[threshold] = sum(seen) / len(seen)
    best = [
        max(precision for threshold, precision in precisions.items() if threshold <= score)
        for score, rating in clips
        if rating >= 3
    ]
    assert found == pytest.approx(sum(best) / len(best) if best else 0.0)


TIMES = st.floats(-1e308, 1e308)


@given(st.lists(st.tuples(TIMES, TIMES, TIMES), max_size=15))
def test_no_window_breaks_the_figures(windows: list[tuple[float, float, float]]) -> None:
    truths = moments.Truths.of([np.array([[0.0, 8.0], [10.0, 40.0]])])
    lists = [np.array(windows).reshape(-1, 3)]
    with np.errstate(over="ignore"):
        precision = moments.average_precision(moments.best_first(lists), truths)
        recall = moments.recall_at_1(moments.best_first(lists), truths)
    assert ((precision >= 0) & (precision <= 1)).all() and recall.dtype == bool
