"""The page of `d2vlm score --html`: what the report holds, for people."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.evaluation.benchmarks.engine import Report, score_files
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Query
from d2vlm_pipeline.evaluation.page import render_page
from d2vlm_pipeline.evaluation.page.blocks import Gallery, TextTable
from d2vlm_pipeline.evaluation.page.kinds import Kind, kinds_of_query
from d2vlm_pipeline.evaluation.page.score_page import score_page
from evaluation.benchmarks.toy import TOY, written
from evaluation.page.test_report_page import Reader
from evaluation.scoring_records import places, predict, sample

ROWS = [("a", "v1", 1.0), ("b", "v1", 0.0), ("c", "v2", 0.5), ("d", "v3", 0.0)]


def toy(tmp_path: Path, compare: bool = False, **more: object) -> Report:
    other = written(tmp_path / "old.jsonl", [(name, video, 0.0) for name, video, _ in ROWS], **more)
    files = Files(written(tmp_path / "new.jsonl", ROWS, **more))
    return score_files(TOY, files, other=other if compare else None)


def blocks(report: Report, anchor: str) -> tuple[object, ...]:
    return next(section.blocks for section in score_page(report).sections if section.anchor == anchor)


def test_figures_stand_with_intervals_and_denominators(tmp_path: Path) -> None:
    report = toy(tmp_path)
    table = next(block for block in blocks(report, "figures") if isinstance(block, TextTable))
    ranged = report.intervals[("mean",)]
    assert table.rows == (("mean", "37.50", f"{ranged.low:.2f} – {ranged.high:.2f}", "4", "3"),)


def test_other_rules_say_how_much_and_why(tmp_path: Path) -> None:
    (table,) = blocks(toy(tmp_path), "rules")
    assert isinstance(table, TextTable)
    assert table.rows == (
        ("official", "mean +37.50", "zeros are left out"),
        ("official, one quirk", "mean +37.50", "zeros leave the mean"),
    )


def test_queries_come_worst_first_as_time_lines(tmp_path: Path) -> None:
    (gallery,) = blocks(toy(tmp_path, truth=[[1, 3], [4, 6]], duration=9.0, group="g"), "queries")
    assert isinstance(gallery, Gallery)
    assert [(item.id, item.score) for item in gallery.items] == [("b", 0), ("d", 0), ("c", 50), ("a", 100)]
    assert gallery.items[0].duration_s == 9.0 and gallery.groups == {"g": 4}
    assert [(lane.name, len(lane.bars)) for lane in gallery.items[0].lanes] == [("truth", 2), ("answer", 0)]


def test_a_comparison_shows_what_was_said_before(tmp_path: Path) -> None:
    table, changes = blocks(toy(tmp_path, compare=True), "comparison")
    assert isinstance(table, TextTable) and table.rows[0][:4] == ("mean", "37.50", "0.00", "+37.50")
    assert isinstance(changes, Gallery)
    assert [(item.id, item.group, item.score) for item in changes.items] == [
        ("a", "better", 100),
        ("c", "better", 50),
    ]
    assert ("before", "0.0") in changes.items[0].notes
    assert "comparison" not in [section.anchor for section in score_page(toy(tmp_path)).sections]


def test_slices_are_drawn_and_digests_named(tmp_path: Path) -> None:
    report = toy(tmp_path)
    rows = [{"id": n, "video": v, "value": x, "group": "odd" if x else "even"} for n, v, x in ROWS]
    path = tmp_path / "groups.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    grouped = score_files(TOY, Files(path))
    text = "".join(Reader(render_page(score_page(grouped))).text)
    assert "By group" in text and "odd" in text and "groups.jsonl" in text
    assert grouped.digests["predictions"][0][1] in text
    assert "slices" not in [section.anchor for section in score_page(report).sections]


@pytest.mark.parametrize(
    ("query", "score", "kinds"),
    [
        (Query("q", "v", "missing"), 0.0, (Kind.NO_PREDICTION,)),
        (Query("q", "v", "unparsed"), 0.0, (Kind.UNPARSED,)),
        (Query("q", "v", "parsed"), 100.0, (Kind.RIGHT,)),
        (Query("q", "v", "parsed"), 0.0, (Kind.WRONG_ANSWER,)),
        (Query("q", "v", "parsed", said=((0, 1),)), 0.0, (Kind.FALSE_ALARM,)),
        (Query("q", "v", "parsed", truth=((0, 1),)), 0.0, (Kind.MISSED,)),
        (Query("q", "v", "parsed", truth=((0, 4),), said=((9, 10), (0, 40))), 9.0, (Kind.TOO_LONG,)),
        (Query("q", "v", "parsed", truth=((0, 4),), said=((9, 10),)), 0.0, (Kind.WRONG_PLACE,)),
        (Query("q", "v", "parsed", truth=((0, 4), (5, 9)), said=((0, 4), (20, 21))), 40.0, (Kind.MISSED,)),
    ],
)
def test_kinds_of_error_of_a_query(query: Query, score: float, kinds: tuple[Kind, ...]) -> None:
    assert kinds_of_query(query, score) == kinds


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    """Our own records, one of which could not be read and one of which is missing."""
    asked = [sample("tvg", key=key) for key in ("near", "unread", "absent", "unasked")]
    said = [places(asked[0], [(2, 5)]), predict(asked[1], "what <b>now</b>?"), places(asked[2], [(9, 12)])]
    for name, records in (("truth.jsonl", asked), ("said.jsonl", said)):
        (tmp_path / name).write_text("".join(record.model_dump_json() + "\n" for record in records))
    files = ["--predictions", tmp_path / "said.jsonl", "--ground-truth", tmp_path / "truth.jsonl"]
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    for page in pages:
        arguments = ["score", "--benchmark", "grounded", *files, "--html", page]
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
    assert pages[0].read_bytes() == pages[1].read_bytes()
    found = Reader(pages[0].read_text(encoding="utf-8"))
    assert "grounded, scored" in found.text and "what <b>now</b>?" in found.text
    assert {"wrong place ", "unparsed ", "no prediction "} <= set(found.text)
