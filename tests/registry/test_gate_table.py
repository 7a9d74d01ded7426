"""A decision as people read it: rows, a table for a log, and words."""

import io

from rich.console import Console

from d2vlm_pipeline.registry import decide
from d2vlm_pipeline.registry.gate_table import gate_rows, gate_table
from d2vlm_pipeline.registry.wording import in_words
from registry.records import FLOOR, GATES, LATENCY, REGRESSION, SLICES, dossier, policy


def test_every_gate_has_a_row_with_figure_threshold_margin_and_outcome():
    decision = decide(dossier(seconds=0.25), None, policy(FLOOR, LATENCY, REGRESSION))
    assert [tuple(row) for row in gate_rows(decision)] == [
        ("floor of test-iid/tvg/f1", "60.00 %", "30.00 %", "+30.00 %", "passed"),
        ("latency (seconds a question)", "0.250 s", "0.100 s", "-0.150 s", "failed"),
        ("no_regression of test-iid/dvc/cap_f1", "–", "3.00 points", "–", "not compared"),
    ]


def test_the_table_fits_a_log_file_and_cuts_no_figure():
    decision = decide(dossier(), dossier(tvg=20.0), policy(*GATES))
    out = io.StringIO()
    Console(file=out, width=110).print(gate_table(decision))
    text = out.getvalue()
    assert all(row.figure in text and row.margin in text for row in gate_rows(decision))
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 110


def test_words_say_why_a_version_was_promoted_and_where_it_was_close():
    words = in_words(decide(dossier(dvc=37.1), dossier(tvg=20.0), policy(*GATES)))
    assert words.startswith(
        "**Promoted.** test-iid/tvg/f1 60.00, the champion's 20.00, on the same data.\n\n"
        "12 of 12 gates passed.\n\nClosest to their limits:\n\n- "
    )
    assert "- no_regression of test-iid/dvc/cap_f1: test-iid/dvc/cap_f1 37.10 against" in words
    assert "What stood against it" not in words and "Not judged" not in words


def test_words_say_what_stood_against_a_version_and_what_was_not_judged():
    rules = policy(FLOOR, SLICES, REGRESSION, unmeasured="show")
    words = in_words(decide(dossier(tvg=10.0, without=("slices",)), None, rules))
    assert words.startswith("**Not promoted.** test-iid/tvg/f1 10.00; no champion to compare with.")
    assert "What stood against it:\n\n- floor of test-iid/tvg/f1: test-iid/tvg/f1 10.00 < 30.00" in words
    assert "Not judged:\n\n- slice_floor of test-iid/tvg/f1 by duration: " in words


def test_words_say_that_a_champion_on_other_data_was_not_met():
    champion = dossier(tvg=90.0, data={"world": "w0", "samples": "s1"})
    assert "the champion's 90.00 is on other data: the gates alone decided." in in_words(
        decide(dossier(), champion, policy(FLOOR))
    )
