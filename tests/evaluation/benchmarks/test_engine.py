"""What a report says beside the figures: intervals, slices, other rules, comparisons, provenance."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.engine import Report, Settings, score_files
from d2vlm_pipeline.evaluation.benchmarks.recorded import report_json
from d2vlm_pipeline.evaluation.benchmarks.records import Files
from d2vlm_pipeline.evaluation.benchmarks.shown import report_lines
from evaluation.benchmarks.toy import TOY, written

FEW = Settings(resamples=200)
ROWS = [(f"q{number}", f"v{number // 2}", (number * 7 % 5) / 4) for number in range(30)]

values = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=12)


def scored(path: Path, other: Path | None = None, protocol: str = "strict") -> Report:
    return score_files(TOY, Files(path), protocol, other, FEW)


def rows_of(found: list[float]) -> list[tuple[str, str, float]]:
    return [(f"q{number}", f"v{number // 2}", value) for number, value in enumerate(found)]


@given(values)
@settings(max_examples=25, deadline=None)
def test_an_interval_lies_around_its_value_and_within_what_was_seen(
    tmp_path_factory: pytest.TempPathFactory, found: list[float]
) -> None:
    path = written(tmp_path_factory.mktemp("s") / "p.jsonl", rows_of(found))
    ranged = scored(path).intervals[("mean",)]
    assert ranged.value == pytest.approx(100 * np.mean(found))
    assert 100 * min(found) - 1e-9 <= ranged.low <= ranged.high <= 100 * max(found) + 1e-9
    if len(set(found)) == 1:
        assert ranged.low == pytest.approx(ranged.value) == ranged.high


def test_one_video_has_no_other_draw(tmp_path: Path) -> None:
    rows = [("a", "v", 0.0), ("b", "v", 1.0), ("c", "v", 0.25)]
    ranged = scored(written(tmp_path / "p.jsonl", rows)).intervals[("mean",)]
    assert ranged.low == ranged.value == ranged.high
    assert (ranged.n, ranged.videos) == (3, 1)


def test_queries_of_one_video_stand_or_fall_together(tmp_path: Path) -> None:
    alike = [(f"q{number}", f"v{number // 10}", float(number < 50)) for number in range(100)]
    apart = [(name, name, value) for name, _, value in alike]
    wide = scored(written(tmp_path / "a.jsonl", alike)).intervals[("mean",)]
    narrow = scored(written(tmp_path / "b.jsonl", apart)).intervals[("mean",)]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_order_of_predictions_changes_no_byte_but_the_digest(tmp_path: Path) -> None:
    other = written(tmp_path / "o.jsonl", [(name, video, 1 - value) for name, video, value in ROWS])
    records: list[dict] = []
    for order in (ROWS, ROWS[::-1]):
        path = written(tmp_path / "p.jsonl", order)
        records.append(json.loads(report_json(scored(path, other))))
    digests = [record["digests"]["predictions"][0].pop("sha256") for record in records]
    assert digests[0] != digests[1]
    assert records[0] == records[1]


def test_a_report_is_the_same_bytes_wherever_the_files_lie(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first, second = (written(folder / "p.jsonl", ROWS) for folder in (tmp_path, tmp_path / "b"))
    assert report_json(scored(first)) == report_json(scored(second))


@given(values)
@settings(max_examples=25, deadline=None)
def test_a_file_does_not_differ_from_itself(
    tmp_path_factory: pytest.TempPathFactory, found: list[float]
) -> None:
    path = written(tmp_path_factory.mktemp("s") / "p.jsonl", rows_of(found))
    comparison = scored(path, path).comparison
    assert comparison is not None
    (difference,) = comparison.differences
    assert (difference.difference, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
    assert comparison.changed == 0 and comparison.better == comparison.worse == ()


@given(values, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_a_comparison_turned_round_has_the_other_sign(
    tmp_path_factory: pytest.TempPathFactory, found: list[float], random: object
) -> None:
    folder = tmp_path_factory.mktemp("s")
    shuffled = found[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = written(folder / "a.jsonl", rows_of(found)), written(folder / "b.jsonl", rows_of(shuffled))
    there, back = scored(a, b).comparison, scored(b, a).comparison
    assert there is not None and back is not None
    (one,), (other,) = there.differences, back.differences
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == other.p_value
    assert [change.id for change in there.better] == [change.id for change in back.worse]


def test_a_gain_on_every_video_is_no_chance_and_one_video_proves_nothing(tmp_path: Path) -> None:
    worse = [(name, video, value / 2) for name, video, value in ROWS]
    ours, other = written(tmp_path / "a.jsonl", ROWS), written(tmp_path / "b.jsonl", worse)
    comparison = scored(ours, other).comparison
    assert comparison is not None
    assert comparison.differences[0].low > 0 and comparison.differences[0].p_value < 0.02
    ours, other = written(tmp_path / "c.jsonl", ROWS[:2]), written(tmp_path / "d.jsonl", worse[:2])
    alone = scored(ours, other).comparison
    assert alone is not None and alone.differences[0].p_value == 1


def test_the_p_value_is_that_of_all_swaps(tmp_path: Path) -> None:
    """Three videos that gain 1, 1 and 1: of eight ways to swap them, two are as far apart."""
    ours = written(tmp_path / "a.jsonl", [(name, name, 1.0) for name in "abc"])
    other = written(tmp_path / "b.jsonl", [(name, name, 0.0) for name in "abc"])
    comparison = score_files(TOY, Files(ours), other=other, settings=Settings(resamples=20_000)).comparison
    assert comparison is not None
    assert comparison.differences[0].p_value == pytest.approx(2 / 8, abs=0.01)


def test_queries_that_changed_most_come_first_in_both_directions(tmp_path: Path) -> None:
    before = [("a", "v1", 0.5), ("b", "v1", 0.5), ("c", "v2", 0.5), ("d", "v2", 0.5), ("e", "v3", 0.5)]
    after = [("a", "v1", 0.75), ("b", "v1", 1.0), ("c", "v2", 0.25), ("d", "v2", 0.0), ("e", "v3", 0.5)]
    ours, other = written(tmp_path / "a.jsonl", after), written(tmp_path / "b.jsonl", before)
    comparison = scored(ours, other).comparison
    assert comparison is not None
    assert [(change.id, change.change) for change in comparison.better] == [("b", 50), ("a", 25)]
    assert [(change.id, change.change) for change in comparison.worse] == [("d", -50), ("c", -25)]
    assert comparison.changed == 4
    assert (comparison.better[0].before.score, comparison.better[0].after.answer) == (50, "1.0")


def test_a_mistake_in_the_other_file_names_it(tmp_path: Path) -> None:
    bad = tmp_path / "other.jsonl"
    bad.write_text('{"id": "a"')
    with pytest.raises(UserError, match=r"other\.jsonl:1: "):
        scored(written(tmp_path / "p.jsonl", ROWS), bad)


def test_slices_hold_their_queries_alone_and_draw_the_same_videos(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines = [
        {"id": "a", "video": "v1", "value": 1.0, "truth": [[0, 4]], "duration": 20, "group": "x"},
        {"id": "b", "video": "v1", "value": 0.0, "truth": [[0, 4], [3, 9]], "duration": 20, "group": "y"},
        {"id": "c", "video": "v2", "value": 0.5, "truth": [[0, 40], [50, 90]], "duration": 100, "group": "y"},
        {"id": "d", "video": "v3", "value": 0.0, "truth": [], "duration": 30, "group": "y"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = scored(path)
    found = {(part.dimension, part.name): (part.n, part.value) for part in report.slices}
    assert found == {
        ("duration of video", "< 30 s"): (2, 50.0),
        ("duration of video", "30-60 s"): (1, 0.0),
        ("duration of video", "60-150 s"): (1, 50.0),
        ("true events", "0"): (1, 0.0),
        ("true events", "1"): (1, 100.0),
        ("true events", "2"): (2, 25.0),
        ("mean length of true intervals", "< 5 s"): (1, 100.0),
        ("mean length of true intervals", "5-10 s"): (1, 0.0),
        ("mean length of true intervals", "30-60 s"): (1, 50.0),
        ("true events overlap", "apart"): (1, 50.0),
        ("true events overlap", "overlapping"): (1, 0.0),
        ("group", "x"): (1, 100.0),
        ("group", "y"): (3, pytest.approx(50 / 3)),
    }
    dimensions = [part.dimension for part in report.slices]
    assert dimensions == sorted(dimensions, key=list(dict.fromkeys(dimensions)).index)


def test_other_rules_say_what_they_would_change_and_why(tmp_path: Path) -> None:
    rows = [("a", "v", 1.0), ("b", "v", 0.0)]
    report = scored(written(tmp_path / "p.jsonl", rows))
    assert [other.line for other in report.others] == [
        "official would differ by +50.00 mean: zeros are left out",
        "official would differ by +50.00 mean, because zeros leave the mean",
    ]
    lines = list(report_lines(report))
    assert all(other.line in lines for other in report.others)
    official = scored(tmp_path / "p.jsonl", protocol="official")
    assert [other.line for other in official.others] == ["strict would differ by -50.00 mean: all count"]
    assert official.scored.metrics == {"mean": 100.0}


def test_a_protocol_of_two_names_is_mentioned_once(tmp_path: Path) -> None:
    alias = replace(TOY, protocols={**TOY.protocols, "official:toy": TOY.protocols["official"]})
    path = written(tmp_path / "p.jsonl", ROWS)
    for chosen, others in {"strict": ["official", "official"], "official:toy": ["strict"]}.items():
        report = score_files(alias, Files(path), chosen, settings=FEW)
        assert [other.protocol for other in report.others] == others


def test_rules_that_change_nothing_say_so(tmp_path: Path) -> None:
    report = scored(written(tmp_path / "p.jsonl", [("a", "v", 1.0)]))
    assert report.others[1].line == "official would not differ here, although zeros leave the mean"


def test_rules_that_refuse_the_files_are_shown_and_stop_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", ROWS)

    def score(rows: list, without_zeros: bool):
        if without_zeros:
            raise UserError("needs 300 videos")
        return TOY.score(rows, without_zeros)

    report = score_files(replace(TOY, score=score), Files(path), settings=FEW)
    assert report.others[0].line == "official cannot score these files: needs 300 videos"
    with pytest.raises(UserError, match="needs 300 videos"):
        score_files(replace(TOY, score=score), Files(path), "official", settings=FEW)


def test_a_figure_of_nothing_has_no_interval(tmp_path: Path) -> None:
    report = scored(written(tmp_path / "p.jsonl", [("a", "v", 0.0)]), protocol="official")
    assert report.scored.metrics == {"mean": None} and report.intervals == {}
    assert json.loads(report_json(report))["intervals"] == {}
    assert any("–" in line for line in report_lines(report))


def test_an_unknown_protocol_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="toy has no protocol 'offical'; one of official, strict"):
        scored(written(tmp_path / "p.jsonl", ROWS), protocol="offical")


def test_a_report_says_where_it_comes_from(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", ROWS)
    record = json.loads(report_json(scored(path, path)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = {"file": "p.jsonl", "sha256": digest}
    assert record["digests"] == {"predictions": [file], "compare": [file]}
    assert record["protocol"] == "strict" and record["benchmark"] == "toy"
    assert set(record["version"]) == {"package", "scoring", "parser"}
    assert record["bootstrap"] == {"unit": "video", "resamples": 200, "confidence": 0.95, "seed": 0}
    assert record["counts"] == {
        "queries": 30,
        "parsed": 30,
        "unparsed": 0,
        "missing": 0,
        "duplicates": 0,
        "unknown": 0,
    }
    assert record["traps"][0]["trap"] == 4
