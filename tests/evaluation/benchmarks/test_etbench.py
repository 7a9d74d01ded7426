import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Answers, read
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import D2VLM, ORIGINAL, STRICT, STRICT_RVQ, TRAPS
from d2vlm_pipeline.evaluation.benchmarks.etbench.score import score_answers
from d2vlm_pipeline.evaluation.benchmarks.etbench.tools import CaptionTools
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored


def alike(texts: Any) -> np.ndarray:
    """Unit vectors in which texts are as similar as their letters are."""
    vectors = np.array([[text.lower().count(chr(97 + k)) + 1e-3 for k in range(26)] for text in texts], float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def row(task: str, answer: str | None, idx: int = 0, **more: Any) -> dict[str, Any]:
    known = {"task": task, "source": "s", "idx": idx, "video": f"v{idx}", "duration": 100, "q": "?"}
    return known | {"a": answer} | more


def answers(tmp_path: Path, rows: Any, truth: Any = None) -> Answers:
    paths = []
    for name, value in (("p.json", rows), ("t.json", truth)):
        if value is not None:
            path = tmp_path / name
            path.write_text(value if isinstance(value, str) else json.dumps(value))
            paths.append(path)
    return read(Files(paths[0], tuple(paths[1:])))


def scored(tmp_path: Path, rows: Any, rules: Any = STRICT, truth: Any = None) -> Scored:
    tools = CaptionTools(embed=alike, with_meteor=False)
    return score_answers(answers(tmp_path, rows, truth), rules, tools)


def figures(tmp_path: Path, task: str, rows: list[dict], rules: Any = STRICT) -> dict[str, float]:
    found: dict[str, float] = scored(tmp_path, rows, rules).metrics["per_task_source"][task]["s"]
    return found


def test_summary_counts_answers_that_cannot_be_read_and_sees_all_of_a_long_video(tmp_path: Path) -> None:
    rows = [row("evs", "10 - 20 s", 0, tgt=[[10, 20]]), row("evs", "none", 1, tgt=[[10, 20]])]
    assert figures(tmp_path, "evs", rows)["F1"] == 0.5
    assert figures(tmp_path, "evs", rows, replace(STRICT, evs_parsed_only=True))["F1"] == 1.0
    late = [row("evs", "1500 - 1600 s", tgt=[[1500, 1600]], duration=2000)]
    assert figures(tmp_path, "evs", late)["F1"] == 1.0
    assert figures(tmp_path, "evs", late, replace(STRICT, evs_limit_s=1000.0))["F1"] == 0.0


def test_summary_of_right_evidence_does_not_save_a_wrong_answer(tmp_path: Path) -> None:
    rows = [row("evs", "10 - 20</evi>50 - 60 s", tgt=[[10, 20]])]
    found = figures(tmp_path, "evs", rows)
    assert (found["F1"], found["F1_evi"]) == (0.0, 1.0)
    assert figures(tmp_path, "evs", rows, replace(STRICT, evs_united=True))["F1"] == pytest.approx(2 / 3)


def test_evidence_of_actions_is_not_cleared_by_later_answers(tmp_path: Path) -> None:
    truth = [[10, 20], [30, 40]]
    rows = [
        row("tal", "10 - 20, 30 - 40</evi>10 - 20, 30 - 40", 0, tgt=truth),
        row("tal", "90 - 99</evi>10 - 20", 1, tgt=truth),
    ]
    assert figures(tmp_path, "tal", rows)["F1_evi"] == 0.5
    assert figures(tmp_path, "tal", rows, replace(STRICT, tal_resets=True))["F1_evi"] == 0.0


def test_evidence_without_answer_and_answer_without_evidence_stand_for_themselves(tmp_path: Path) -> None:
    rows = [row("tvg", "10 - 20</evi>somewhere", 0, tgt=[10, 20]), row("tvg", "10 - 20", 1, tgt=[10, 20])]
    found = figures(tmp_path, "tvg", rows)
    assert (found["F1"], found["F1_evi"], found["Failed"]) == (0.5, 0.5, 1)
    assert "F1_evi" not in figures(tmp_path, "tvg", rows[1:])


def test_an_option_is_named_or_the_answer_is_wrong(tmp_path: Path) -> None:
    more = {"o": ["a red cat", "a dog", "birds", "ants"], "p": 0}
    rows = [
        row("rvq", "(A)", 0, **more),
        row("rvq", "a red rat", 1, **more),
        row("rvq", "It is a red cat.", 2, **more),
        row("rvq", "(B), a red cat", 3, **more),
        row("rvq", "", 4, **more),
    ]
    assert figures(tmp_path, "rvq", rows)["Acc"] == pytest.approx(0.4)
    assert figures(tmp_path, "rvq", rows, ORIGINAL)["Acc"] == pytest.approx(0.8)
    assert figures(tmp_path, "rvq", rows, STRICT_RVQ)["Acc"] == pytest.approx(0.6)
    found = figures(tmp_path, "rvq", rows, D2VLM)
    assert found["Matched_count"] == 3 and found["Failed"] == 2  # `a)`, `b)`, and `a red rat` too


def test_options_may_be_intervals(tmp_path: Path) -> None:
    more = {"o": [[5, 21.4], [48.5, 104]], "p": 0, "duration": 120}
    assert figures(tmp_path, "eca", [row("eca", "It is 5.0 - 21.4", **more)])["Acc"] == 1.0
    item = answers(tmp_path, [row("eca", "x", **more)]).items[0]
    assert item.option_texts == ("5 - 21.4", "48.5 - 104")  # as the scripts write them


def test_locating_is_scored_whatever_the_option(tmp_path: Path) -> None:
    more = {"o": ["w", "x", "y", "z"], "p": 0, "tgt": [10, 20]}
    rows = [row("gvq", "(B) 10 - 20", 0, **more), row("gvq", "(A) 10 - 20", 1, **more)]
    found = figures(tmp_path, "gvq", rows)
    assert (found["mRec"], found["mRec_joint"], found["Acc"]) == (1.0, 0.5, 0.5)
    assert figures(tmp_path, "gvq", rows, ORIGINAL)["mRec"] == 0.5


def test_a_highlight_is_a_moment(tmp_path: Path) -> None:
    judges = [[[10, 20]], [[30, 40]]]
    rows = [
        row("vhd", "at 35 s", 0, tgt=judges),
        row("vhd", "20.0", 1, tgt=judges[0]),
        row("vhd", "30 - 40", 2, tgt=judges[1]),
        row("vhd", "the 2nd", 3, tgt=[[1, 3]]),
    ]
    assert figures(tmp_path, "vhd", rows)["F1"] == 0.75
    assert figures(tmp_path, "vhd", rows, ORIGINAL)["F1"] == 1.0  # `2` of `2nd`, the start of `30 - 40`
    assert figures(tmp_path, "vhd", rows, D2VLM)["F1"] == 0.0


CAPTIONED = {"tgt": [[10, 20], [30, 40]], "g": ["cut the onions", "stir the pot"]}


def test_captions_of_videos_that_cannot_be_read_count(tmp_path: Path) -> None:
    said = "10 - 20 seconds, cut the onions. 30 - 40 seconds, stir the pot."
    rows = [row("dvc", said, 0, **CAPTIONED), row("dvc", "cooking", 1, **CAPTIONED)]
    found = figures(tmp_path, "dvc", rows)
    assert found["F1"] == pytest.approx(0.5) and found["SentSim"] == pytest.approx(0.5)
    assert found["ROUGE_L"] == pytest.approx(0.5)
    assert found["CIDEr_corpus"] == pytest.approx(3.75)  # of 5: three words have no sequence of four
    found = figures(tmp_path, "dvc", rows, ORIGINAL)
    assert found["F1"] == 0.5 and found["SentSim"] == 1.0 and "METEOR" not in found


def test_a_caption_without_event_is_like_nothing(tmp_path: Path) -> None:
    rows = [row("dvc", "10 - 20 seconds, cut the onions. 70 - 80 seconds, stir the pot.", 0, **CAPTIONED)]
    assert figures(tmp_path, "dvc", rows)["SentSim"] == pytest.approx(0.5)
    assert figures(tmp_path, "dvc", rows, replace(STRICT, random_references=True))["SentSim"] > 0.5


def test_random_references_are_always_the_same_ones(tmp_path: Path) -> None:
    rows = [row("dvc", "70 - 80 seconds, stir the pot.", idx, **CAPTIONED) for idx in range(3)]
    once, again = (figures(tmp_path, "dvc", order, ORIGINAL)["SentSim"] for order in (rows, rows[::-1]))
    assert once == again > 0


def test_overlap_of_exactly_the_threshold_counts_for_captions_and_events_alike(tmp_path: Path) -> None:
    rows = [row("dvc", "10 - 20 seconds, cut the onions.", tgt=[[10, 15]], g=["cut the onions"])]
    found = figures(tmp_path, "dvc", rows)
    assert found["F1@0.5"] == 1.0 and found["SentSim"] == pytest.approx(0.75)
    assert figures(tmp_path, "dvc", rows, replace(STRICT, hull_overlap=True))["F1@0.5"] == 0.0


def test_of_questions_on_one_video_the_scripts_keep_the_last(tmp_path: Path) -> None:
    said = "10 - 20 seconds, cut the onions. 30 - 40 seconds, stir the pot."
    rows = [row("dvc", said, idx, **CAPTIONED, video="v") for idx in range(2)]
    assert figures(tmp_path, "dvc", rows)["F1"] == 1.0
    assert figures(tmp_path, "dvc", rows, ORIGINAL)["F1"] == 0.5


def test_tasks_are_means_over_sources(tmp_path: Path) -> None:
    rows = [row("tvg", "10 - 20", n, tgt=[10, 20], source="x") for n in range(3)]
    rows.append(row("tvg", "no", 9, tgt=[10, 20], source="y"))
    found = scored(tmp_path, rows)
    assert found.metrics["overall"] == {"TVG": 0.5} and found.metrics["table"] == {"TVG": 50.0}
    assert found.tables["merged"] == {}
    (measure,) = [one for one in found.measures if one.path == ("table", "TVG")]
    assert measure.unit * measure.contribution.total == pytest.approx(50.0)
    # Without the second source its mean is that of the first.
    first = measure.contribution.stats_RS[:3].sum(axis=0)
    assert measure.contribution.combine(first) == pytest.approx(1.0)


def test_questions_without_answer_are_missing_and_wrong(tmp_path: Path) -> None:
    rows = [row("tvg", None, 0, tgt=[10, 20]), row("tvg", "10 - 20", 1, tgt=[10, 20])]
    found = scored(tmp_path, rows)
    assert (found.counts.missing, found.counts.parsed, found.metrics["table"]["TVG"]) == (1, 1, 50.0)


def test_truth_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    truth = [row("tvg", None, n, tgt=[10, 20]) for n in range(3)]
    said = [{"task": "tvg", "source": "s", "idx": n, "a": "10 - 20"} for n in (1, 7)]
    found = scored(tmp_path, said, ORIGINAL, truth)
    assert found.counts.queries == 3 and found.counts.missing == 2 and found.counts.unknown == 1
    with pytest.raises(UserError, match=r"p\.json: entry 2: an answer to no question"):
        scored(tmp_path, said, STRICT, truth)


def test_duplicates_are_refused_or_counted(tmp_path: Path) -> None:
    rows = [row("tvg", "10 - 20", tgt=[10, 20])] * 2
    with pytest.raises(UserError, match=r"p\.json: entry 2: tvg/s/0 is answered more than once"):
        scored(tmp_path, rows)
    found = scored(tmp_path, rows, ORIGINAL)
    assert found.counts.duplicates == 1 and found.counts.queries == len(found.queries) == 1
    assert found.metrics["per_task_source"]["tvg"]["s"]["Total"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "tv"}, "unknown task 'tv'"),
        ({"tgt": [[10, 20]]}, r"tgt: expected \[start, end\]|tgt: item 1|tgt: expected"),
        ({"tgt": [10, float("nan")]}, "no finite number"),
        ({"tgt": [True, 20]}, "expected a number, got True"),
        ({"tgt": [10, 10**400]}, "no finite number"),
        ({"tgt": [20, 10]}, "true interval 20 to 10 s is none"),
        ({"tgt": [10, 120]}, "ends at 120 s, but v0 lasts 100 s"),
        ({"a": 5}, "expected text, got 5"),
        ({"idx": 1.5}, "expected an integer"),
        ({"task": "rar", "o": [], "p": 0}, "0 options"),
        ({"task": "rar", "o": ["x"], "p": 1}, "1 is the index of none of 1 options"),
        ({"task": "dvc", "tgt": [[1, 2]], "g": []}, "0 captions for 1 true intervals"),
        ({"task": "tal", "tgt": []}, "no true interval"),
        ({"task": "vhd", "tgt": [[[1, 2]], [3, 4]]}, "expected"),
    ],
)
def test_mistakes_are_one_line_with_their_place(tmp_path: Path, change: dict, message: str) -> None:
    rows = [row("tvg", "1 - 2", 7, tgt=[1, 2]), row("tvg", "10 - 20", tgt=[10, 20]) | change]
    with pytest.raises(UserError, match=message) as error:
        scored(tmp_path, rows)
    assert "p.json: entry 2" in str(error.value) and "\n" not in str(error.value)


def test_meteor_is_reported_where_it_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = "d2vlm_pipeline.evaluation.benchmarks.etbench.tools.meteor_unavailable"
    monkeypatch.setattr(where, lambda: "no Java; install one")
    rows = [row("dvc", "10 - 20 seconds, cut the onions.", **CAPTIONED)]
    found = score_answers(answers(tmp_path, rows), STRICT, CaptionTools(embed=alike))
    assert found.unavailable == {"METEOR": "no Java; install one"}
    assert found.metrics["per_task_source"]["dvc"]["s"]["Bleu_1"] > 0


def test_every_trap_is_one_switch_of_strict() -> None:
    switches = vars(STRICT)
    for trap in TRAPS:
        changed = [name for name, value in vars(trap.rules).items() if value != switches[name]]
        assert len(changed) == 1, trap.why
        assert trap.protocol in find_benchmark("etbench").protocols
