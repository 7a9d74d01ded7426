"""YouCook2 in small: what strict rules make of dense captions, and what each quirk alone."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored
from d2vlm_pipeline.evaluation.benchmarks.youcook2 import BENCHMARK, DenseRules, wording
from d2vlm_pipeline.evaluation.benchmarks.youcook2.files import Cooking, Video
from d2vlm_pipeline.evaluation.benchmarks.youcook2.rules import STRICT
from d2vlm_pipeline.evaluation.overlap import Floats

TRUTH = {
    "a.mp4": [(0, 10, "cut the onion in small pieces"), (20, 30, "fry the onion in hot oil")],
    "b.mp4": [(5, 15, "stir the thick soup"), (15, 30, "add salt to it now"), (40, 60, "serve it very hot")],
    "c.mp4": [(0, 50, "knead the dough for ten minutes")],
}
RIGHT = {
    video: [{"timestamp": [start_s, end_s], "caption": f"{caption}."} for start_s, end_s, caption in events]
    for video, events in TRUTH.items()
}


class SharedWords:
    """In the place of METEOR: the share of the candidate's words that a reference has."""

    def score(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str],
        groups: Sequence[int] | None = None,
    ) -> tuple[Floats, Floats]:
        items = np.array([_shared(refs[0], said) for refs, said in zip(references, candidates, strict=True)])
        group_N = np.zeros(len(items), dtype=int) if groups is None else np.array(groups, dtype=int)
        counts = np.bincount(group_N)
        return items, np.bincount(group_N, items) / np.maximum(counts, 1)


def _shared(reference: str, said: str) -> float:
    words = said.split()
    return sum(word in reference.split() for word in words) / len(words) if words else 0.0


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "shared_meteor", SharedWords)
    monkeypatch.setattr(wording, "meteor_unavailable", lambda: None)


def written(folder: Path, said: Any, entries: Any = None) -> Files:
    if entries is None:
        entries = [
            {
                "image_id": f"videos/{video}",
                "duration": 60.0,
                "segments": [[start_s, end_s] for start_s, end_s, _ in events],
                "pure_cap": ". ".join(caption for _, _, caption in events),
            }
            for video, events in TRUTH.items()
        ]
    truth, predictions = folder / "val.json", folder / "said.json"
    truth.write_text(json.dumps({"annotations": entries}))
    predictions.write_text(json.dumps(said))
    return Files(predictions, (truth,))


def scored(folder: Path, said: Any, rules: DenseRules = STRICT) -> Scored:
    return BENCHMARK.score(BENCHMARK.read(written(folder, said)), rules)


def test_the_benchmark_is_found_by_its_name() -> None:
    assert find_benchmark("youcook2") is BENCHMARK


@pytest.mark.parametrize("protocol", BENCHMARK.protocols)
def test_perfect_predictions(tmp_path: Path, protocol: str) -> None:
    result = scored(tmp_path, RIGHT, BENCHMARK.protocols[protocol].rules)
    for name in ("F1_Score", "Precision@0.9", "Recall_Mean", "METEOR", "SODA_c_2"):
        assert result.metrics[name] == pytest.approx(100.0, abs=1e-5), name
    assert result.metrics["n_preds"] == 2.0
    assert result.counts.parsed == result.counts.queries == 3


def test_strict_cider_of_a_copy_is_the_same_whatever_else_was_said(tmp_path: Path) -> None:
    """10, in percent, for a copy with sequences of all four lengths."""
    result = scored(tmp_path, RIGHT)
    assert result.metrics["CIDER"] == pytest.approx(1000.0)
    alone = scored(tmp_path, {"c.mp4": RIGHT["c.mp4"]})
    assert alone.metrics["CIDER"] == pytest.approx(1000.0 / 3)
    own = scored(tmp_path, {"c.mp4": RIGHT["c.mp4"]}, replace(STRICT, own_documents=True))
    assert own.metrics["CIDER"] == 0.0, "the one caption that was met is no rarer than itself"


def test_videos_without_prediction_count(tmp_path: Path) -> None:
    whole, less = scored(tmp_path, RIGHT), scored(tmp_path, {**RIGHT, "c.mp4": []})
    others = {video: entries for video, entries in RIGHT.items() if video != "c.mp4"}
    gone = scored(tmp_path, others)
    for name in ("F1_Score", "METEOR", "SODA_c_2"):
        assert less.metrics[name] == gone.metrics[name] == pytest.approx(whole.metrics[name] * 2 / 3)
    assert (less.counts.unparsed, less.counts.missing) == (1, 0)
    assert (gone.counts.unparsed, gone.counts.missing) == (0, 1)
    none = scored(tmp_path, {video: [] for video in RIGHT})
    assert {value for value in none.metrics.values()} == {0.0}


def test_repeating_a_prediction_costs(tmp_path: Path) -> None:
    said = {video: entries * 2 for video, entries in RIGHT.items()}
    strict, free = scored(tmp_path, said), scored(tmp_path, said, replace(STRICT, many_to_many=True))
    assert strict.metrics["Precision_Mean"] == pytest.approx(50.0)
    assert strict.metrics["METEOR"] == pytest.approx(50.0)
    assert free.metrics["Precision_Mean"] == free.metrics["METEOR"] == pytest.approx(100.0)


def test_an_interval_that_ends_before_it_begins_meets_nothing(tmp_path: Path) -> None:
    said = {**RIGHT, "c.mp4": [{"timestamp": [50, 0], "caption": "knead the dough for ten minutes."}]}
    strict = scored(tmp_path, said)
    turned = scored(tmp_path, said, replace(STRICT, turned_around=True))
    assert strict.metrics["F1_Score"] == pytest.approx(200 / 3)
    assert strict.notes == ("1 of 6 predictions end before they begin; they meet no event",)
    assert turned.metrics["F1_Score"] == pytest.approx(100.0) and not turned.notes


def test_an_overlap_of_exactly_the_threshold(tmp_path: Path) -> None:
    said = {"c.mp4": [{"timestamp": [0, 25], "caption": "knead the dough for ten minutes."}]}
    assert scored(tmp_path, said).metrics["Recall@0.5"] == pytest.approx(100 / 3)
    published = scored(tmp_path, said, replace(STRICT, two_thresholds=True))
    assert published.metrics["Recall@0.5"] == 0.0


def many_events() -> Cooking:
    spans = tuple((10.0 * k, 10.0 * k + 9) for k in range(12))
    captions = tuple(f"step{k} of{k} the{k} meal{k}" for k in range(12))
    return Cooking((Video("a", 120.0, spans, captions, spans, captions, ("p",) * 12, True),), (), 2)


def test_scores_sorted_as_text_belong_to_other_predictions() -> None:
    assert BENCHMARK.score(many_events(), STRICT).metrics["SODA_c_2"] == pytest.approx(100.0)
    sorted_as_text = BENCHMARK.score(many_events(), replace(STRICT, sorted_as_text=True))
    assert sorted_as_text.metrics["SODA_c_2"] == pytest.approx(100 * 2 / 12), "0 and 1 stay in their places"


def test_soda_in_the_order_of_the_file(tmp_path: Path) -> None:
    turned = {video: entries[::-1] for video, entries in RIGHT.items()}
    assert scored(tmp_path, turned).metrics["SODA_c_2"] == pytest.approx(100.0)
    listed = scored(tmp_path, turned, replace(STRICT, as_listed=True))
    assert listed.metrics["SODA_c_2"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 1) / 3)


def test_random_strings_are_those_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 0, prediction by prediction and threshold by threshold, length first."""
    asked: list[str] = []
    score = SharedWords.score

    def noted(self: SharedWords, references: Any, candidates: Any, groups: Any = None) -> Any:
        asked.extend(text for (text,) in references if " " not in text)
        return score(self, references, candidates, groups)

    monkeypatch.setattr(SharedWords, "score", noted)
    said = {"c.mp4": [{"timestamp": [0, 20], "caption": "a b"}]}
    scored(tmp_path, said, replace(STRICT, pooled_meteor=True))
    draw = random.Random(0)
    lengths_and_letters = []
    for _ in range(3):  # an IoU of 0.4 is below three thresholds
        length = draw.randint(10, 20)
        lengths_and_letters.append("".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length)))
    assert asked == lengths_and_letters


def test_without_java_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "meteor_unavailable", lambda: "METEOR needs Java; install it")
    result = scored(tmp_path, RIGHT)
    assert set(result.unavailable) == {"METEOR", "SODA_c_2"}
    assert result.metrics["METEOR"] is None and result.metrics["F1_Score"] == pytest.approx(100.0)
    assert ("METEOR",) not in result.headline


SPAN = st.tuples(st.integers(0, 70), st.integers(0, 70))
CAPTION = st.lists(st.sampled_from(["cut", "the", "onion", "soup", "", "-"]), max_size=5).map(" ".join)


@given(st.lists(st.tuples(SPAN, CAPTION), max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whatever_is_said_figures_are_figures(
    said: list[tuple[tuple[int, int], str]], shuffler: random.Random
) -> None:
    events = tuple((float(start_s), float(end_s)) for start_s, end_s, _ in TRUTH["b.mp4"])
    captions = tuple(caption for _, _, caption in TRUTH["b.mp4"])
    orders = [said, shuffler.sample(said, len(said))]
    for rules in (one.rules for one in (*BENCHMARK.protocols.values(), *BENCHMARK.traps)):
        found = []
        for order in orders:
            spans = tuple((float(a), float(b)) for (a, b), _ in order)
            told = tuple(text for _, text in order)
            video = Video("b", 60.0, events, captions, spans, told, ("p",) * len(told), True)
            found.append(BENCHMARK.score(Cooking((video,), (), 2), rules).metrics)
        for name, value in found[0].items():
            assert isinstance(value, float)
            upper = 1000.0 if name.startswith("CIDER") else 100.0
            assert -100.0 <= value <= upper + 1e-9, name
        if rules == STRICT:
            names = [name for name in found[0] if not name.startswith(("SODA", "CIDER", "METEOR"))]
            assert [found[0][name] for name in names] == pytest.approx([found[1][name] for name in names])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"d.mp4": []}, r"said\.json: 'd\.mp4': no such video in the truth; give the truth"),
        ({"a.mp4": [{"timestamp": [0, 999], "caption": "x"}]}, r"'a\.mp4': item 1: .*far outside .* of 60 s"),
        ({"a.mp4": [{"timestamp": [-1, 10], "caption": "x"}]}, r"item 1: .*far outside"),
        ({"a.mp4": [{"timestamp": [0, 10]}]}, r"'a\.mp4': item 1: no key 'caption'"),
        ({"a.mp4": [{"timestamp": [0, "10"], "caption": "x"}]}, r"expected a number, got '10'"),
        ({"a.mp4": [{"timestamp": [0, True], "caption": "x"}]}, r"expected a number, got True"),
        ({"a.mp4": [{"timestamp": [0], "caption": "x"}]}, r"expected \[start, end\]"),
        ({"a.mp4": [{"timestamp": [0, 10], "caption": None}]}, r"expected text, got None"),
        ({"a.mp4": {"timestamp": [0, 10]}}, r"expected a list"),
        ({"a.mp4": "cut"}, r"expected a list, got 'cut'"),
        ([], r"expected a JSON object"),
    ],
)
def test_what_is_wrong_with_predictions_is_said(tmp_path: Path, said: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scored(tmp_path, said)
    assert "\n" not in str(error.value)


ENTRY = {"image_id": "a.mp4", "duration": 60.0, "segments": [[0, 10]], "pure_cap": "cut"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{**ENTRY, "segments": [[0, 10], [10, 20]]}], r"entry 1: 2 segments but 1 captions"),
        ([{**ENTRY, "segments": [[10, 10]]}], r"\[10, 10\] is no interval"),
        ([{**ENTRY, "segments": [[0, 61]]}], r"ends at 61 s but the video lasts 60 s"),
        ([ENTRY, ENTRY], r"entry 2: two entries for a\.mp4"),
        ([{"image_id": "a.mp4"}], r"entry 1: no key 'segments'"),
    ],
)
def test_what_is_wrong_with_the_truth_is_said(tmp_path: Path, entries: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BENCHMARK.read(written(tmp_path, {"a.mp4": []}, entries))


@pytest.mark.filterwarnings("error")
def test_huge_times_are_times(tmp_path: Path) -> None:
    spans = [[-1e308, 1e308], [1e308, 1e308], [-1e308, -1e308]]
    said = {"a.mp4": [{"timestamp": span, "caption": "x"} for span in spans]}
    assert scored(tmp_path, said, BENCHMARK.protocols["official"].rules).metrics["F1_Score"] == 0.0


def test_official_rules_pass_over_unknown_videos(tmp_path: Path) -> None:
    official = BENCHMARK.protocols["official"].rules
    result = scored(tmp_path, {**RIGHT, "d.mp4": RIGHT["c.mp4"]}, official)
    assert result.counts.unknown == 1
    assert result.metrics["F1_Score"] == pytest.approx(100.0, abs=1e-5)
    assert result.metrics["SODA_c_1"] == -100.0
