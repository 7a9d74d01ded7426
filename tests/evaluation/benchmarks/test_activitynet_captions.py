"""ActivityNet Captions: what counts as found, what a missing video costs, which files are refused."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions import BENCHMARK, scoring, sentences, story
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import (
    OFFICIAL,
    STRICT,
    TRAPS,
    Dense,
    Rules,
)
from d2vlm_pipeline.evaluation.benchmarks.figures import leaf
from d2vlm_pipeline.evaluation.benchmarks.quirks import otherwise
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Scored

Events = Sequence[tuple[float, float, str]]

TRUTH: dict[str, Events] = {
    "v_a": [
        (0, 10, "A man opens a red door."),
        (10, 30, " He walks across the green room."),
        (35, 40, "A dog barks."),
    ],
    "v_b": [(5, 15, "Two women paint a tall fence."), (12, 60, "They wash brushes under cold water.")],
    "v_c": [(0, 50, "Children build a castle of sand.")],
}


@pytest.fixture(autouse=True)
def without_meteor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its program starts slowly; tests/conformance has it."""
    monkeypatch.setattr(scoring, "meteor_unavailable", lambda: "no Java; install it")
    yield


def truth_file(folder: Path, truth: Mapping[str, Events], name: str = "truth", **more: Any) -> Path:
    path = folder / f"{name}.json"
    entries = {
        video: {
            "duration": 60,
            "timestamps": [[start_s, end_s] for start_s, end_s, _ in events],
            "sentences": [text for *_, text in events],
            **more,
        }
        for video, events in truth.items()
    }
    path.write_text(json.dumps(entries))
    return path


def predictions_file(folder: Path, told: Mapping[str, Events]) -> Path:
    path = folder / "told.json"
    results = {
        video: [{"sentence": text, "timestamp": [start_s, end_s]} for start_s, end_s, text in events]
        for video, events in told.items()
    }
    path.write_text(json.dumps({"version": "VERSION 1.0", "results": results}))
    return path


def scored(
    folder: Path,
    told: Mapping[str, Events],
    rules: Rules = STRICT,
    sets: Sequence[Mapping[str, Events]] = (TRUTH,),
) -> Scored:
    truths = tuple(truth_file(folder, truth, f"truth{place}") for place, truth in enumerate(sets))
    return BENCHMARK.score(BENCHMARK.read(Files(predictions_file(folder, told), truths)), rules)


def figure(result: Scored, *path: str) -> float:
    value = leaf(result.metrics, path)
    assert value is not None, path
    return value


def test_the_benchmark_is_found_by_its_name() -> None:
    assert find_benchmark("activitynet-captions") is BENCHMARK


def test_the_truth_itself_is_found_whole(tmp_path: Path) -> None:
    result = scored(tmp_path, TRUTH)
    assert result.metrics["SODA_d"] == pytest.approx({"precision": 100, "recall": 100, "f1": 100})
    for name in ("Recall", "Precision", "F1"):
        assert result.metrics[name] == [100.0] * 10
    assert result.metrics["Rouge-L"] == pytest.approx([100.0] * 4)
    assert figure(result, "Bleu_4", "3") > 66  # a caption of three words has no sequence of four
    assert figure(result, "CIDEr", "0") == pytest.approx(1000 * (2.75 / 3 + 2) / 3)  # nor any here


def test_without_meteor_the_rest_goes_on_and_the_report_says_why(tmp_path: Path) -> None:
    result = scored(tmp_path, TRUTH)
    assert dict(result.unavailable) == dict.fromkeys(("METEOR", "SODA_c", "SODA_a"), "no Java; install it")
    assert not {"METEOR", "SODA_c", "SODA_a"} & result.metrics.keys()
    assert result.headline[0] == ("SODA_d", "f1")


def test_a_video_without_prediction_counts_as_nothing_said_but_officially_not_at_all(tmp_path: Path) -> None:
    told = {video: events for video, events in TRUTH.items() if video != "v_c"}
    strict, official = scored(tmp_path, told), scored(tmp_path, told, OFFICIAL)
    assert figure(strict, "average", "Recall") == pytest.approx(200 / 3)
    assert figure(official, "average", "Recall") == 100
    assert strict.counts == official.counts and strict.counts.missing == 1
    assert "the figures are means over 2 of 3 videos" in official.notes


def test_a_video_of_which_nothing_was_said_is_no_missing_one(tmp_path: Path) -> None:
    for rules in (STRICT, OFFICIAL):
        result = scored(tmp_path, {**TRUTH, "v_c": []}, rules)
        assert result.counts.missing == 0
        assert figure(result, "average", "Precision") == pytest.approx(200 / 3)
        assert figure(result, "CIDEr", "0") > 0


def test_an_event_is_found_once_however_often_it_is_told(tmp_path: Path) -> None:
    told = {**TRUTH, "v_c": [TRUTH["v_c"][0]] * 4}
    assert figure(scored(tmp_path, told), "Precision", "0") == pytest.approx(75)
    assert figure(scored(tmp_path, told, OFFICIAL), "Precision", "0") == 100


def test_an_overlap_of_exactly_the_threshold_finds_but_officially_does_not(tmp_path: Path) -> None:
    told = {**TRUTH, "v_c": [(0, 25, "Children build a castle of sand.")]}
    assert figure(scored(tmp_path, told), "Recall", "1") == 100
    above = scored(tmp_path, told, replace(STRICT, reach="above"))
    assert figure(above, "Recall", "1") == pytest.approx(200 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_file_does_not_matter(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    told: dict[str, Events] = {
        video: [(0.0, 10.0, "one two"), (0.0, 10.0, "red door"), (12.0, 50.0, "a man"), *events]
        for video, events in TRUTH.items()
    }
    turned = {video: rng.sample(events, len(events)) for video, events in rng.sample(sorted(told.items()), 3)}
    assert scored(tmp_path, turned).metrics == scored(tmp_path, told).metrics


def test_of_several_reference_sets_the_better_one_counts_for_a_video(tmp_path: Path) -> None:
    other = {"v_a": [(0.0, 58.0, "A man does things.")], "v_d": [(0.0, 10.0, "A cat sleeps.")]}
    told = {**TRUTH, "v_a": other["v_a"], "v_d": other["v_d"]}
    result = scored(tmp_path, told, sets=(TRUTH, other))
    assert result.counts.queries == 4
    assert figure(result, "average", "F1") == figure(result, "SODA_d", "f1") == 100
    # One of three events is found by an interval of 20 s, and that of the other set is not.
    apart = {"v_a": [(10.0, 30.0, "He walks."), (0.0, 40.0, "Things.")]}
    sets = ({"v_a": TRUTH["v_a"]}, {"v_a": [(0.0, 40.0, "Things.")]})
    assert figure(scored(tmp_path, apart, sets=sets), "Precision", "3") == 50
    assert figure(scored(tmp_path, apart, sets=sets), "Recall", "3") == 100


def test_one_prediction_is_compared_with_its_events_of_all_sets_at_once(tmp_path: Path) -> None:
    sets = ({"v_c": [(0.0, 50.0, "Children build a castle.")]}, {"v_c": [(0.0, 50.0, "Kids dig a hole.")]})
    told = {"v_c": [(0.0, 50.0, "Children build a castle.")]}
    assert figure(scored(tmp_path, told, sets=sets), "Rouge-L", "0") == pytest.approx(100)
    assert figure(scored(tmp_path, told, replace(STRICT, one_to_one=False), sets), "Rouge-L", "0") < 70


def test_random_letters_stand_for_events_that_are_not_met(tmp_path: Path) -> None:
    told = {**TRUTH, "v_c": [*TRUTH["v_c"], (55.0, 60.0, "Nothing happens here.")]}
    nothing, letters = scored(tmp_path, told), scored(tmp_path, told, replace(STRICT, unmatched="letters"))
    assert figure(nothing, "Rouge-L", "0") == pytest.approx(figure(letters, "Rouge-L", "0"))
    assert figure(nothing, "Bleu_1", "0") < figure(letters, "Bleu_1", "0")


def test_every_quirk_is_said_and_only_where_it_can_be_met(tmp_path: Path) -> None:
    files = Files(predictions_file(tmp_path, TRUTH), (truth_file(tmp_path, TRUTH),))
    dense = BENCHMARK.read(files)
    found = otherwise(BENCHMARK, dense, "strict", BENCHMARK.score(dense, STRICT))
    assert len(found) == 1 + sum(trap.concerns(dense) for trap in TRAPS)
    grounding = read_grounding(tmp_path, [])
    assert [trap.why for trap in TRAPS if trap.concerns(grounding)] == [TRAPS[-1].why]
    assert {trap.number for trap in TRAPS} == {0, 9, 10}


def test_official_is_strict_with_every_quirk() -> None:
    together = STRICT
    for trap in TRAPS:
        moved = {name: value for name, value in vars(trap.rules).items() if value != getattr(STRICT, name)}
        together = replace(together, **moved)
    grounding = replace(together.grounding, strict=False)
    assert replace(together, strict=False, grounding=grounding) == OFFICIAL


BAD_PREDICTIONS = {
    "an unknown video": ({"v_x": [(0, 1, "x")]}, "'v_x': no video 'v_x' in the truth"),
    "a time beyond the video": ({"v_a": [(0, 10, "x"), (70, 80, "x")]}, "'v_a': item 2: [70, 80] is beyond"),
    "an end far beyond it": ({"v_a": [(0, 900, "x")]}, "'v_a': item 1: [0, 900] is beyond the video"),
}


@pytest.mark.parametrize("case", BAD_PREDICTIONS)
def test_strict_refuses_what_no_such_video_can_have(tmp_path: Path, case: str) -> None:
    told, message = BAD_PREDICTIONS[case]
    with pytest.raises(UserError) as caught:
        scored(tmp_path, told)
    assert str(caught.value).startswith(f"{tmp_path / 'told.json'}: ") and message in str(caught.value)
    if case != "an unknown video":  # a public script scores it somehow
        assert scored(tmp_path, told, OFFICIAL).counts.queries == 3


BAD_ENTRIES = {
    '{"results": []}': "expected a JSON object with an object 'results'",
    '{"results": {}}': "no entries",
    '{"results": {"v_a": {}}}': "'v_a': expected a list",
    '{"results": {"v_a": [5]}}': "'v_a': item 1: expected a JSON object",
    '{"results": {"v_a": [{"sentence": "x"}]}}': "'v_a': item 1: no key 'timestamp'",
    '{"results": {"v_a": [{"sentence": "x", "timestamp": [1]}]}}': "item 1: timestamp: expected [start, end]",
    '{"results": {"v_a": [{"sentence": 3, "timestamp": [1, 2]}]}}': "item 1: sentence: expected text",
    '{"results": {"v_a": [{"sentence": "x", "timestamp": [1, NaN]}]}}': "no finite number",
    '{"results": {"v_a": [{"sentence": "x", "timestamp": [1, true]}]}}': "expected a number",
    '{"results": {"v_a": [], "v_a": []}}': "the key 'v_a' is written more than once",
    '{"results": {"v_a": [': ":1: not JSON",
    '{"v_a": [{"sentence": "x", "timestamp": [1, 2]}]}': "'v_a': neither dense captions under 'results' nor",
    "": "the file is empty",
}


@pytest.mark.parametrize("text", BAD_ENTRIES)
def test_predictions_of_another_form_are_refused_by_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "told.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        BENCHMARK.read(Files(path, (truth_file(tmp_path, TRUTH),)))
    message = str(caught.value)
    assert message.startswith(str(path)) and BAD_ENTRIES[text] in message and "\n" not in message


BAD_TRUTH: dict[str, tuple[dict[str, Any], str]] = {
    "sentences": ({"sentences": ["one"]}, "'v_a': 3 timestamps and 1 sentences"),
    "events": ({"sentences": [], "timestamps": []}, "'v_a': no event"),
    "duration": ({"duration": 0}, "'v_a': a duration of 0 s"),
    "timestamps": ({"timestamps": [[0, "1"]] * 3}, "'v_a': timestamps: item 1: item 2: expected a number"),
}


@pytest.mark.parametrize("case", BAD_TRUTH)
def test_truth_of_another_form_is_refused_by_place(tmp_path: Path, case: str) -> None:
    more, message = BAD_TRUTH[case]
    truth = truth_file(tmp_path, TRUTH, **more)
    with pytest.raises(UserError) as caught:
        BENCHMARK.read(Files(predictions_file(tmp_path, TRUTH), (truth,)))
    assert str(caught.value).startswith(str(truth)) and message in str(caught.value)


def test_backward_intervals_meet_nothing_and_are_counted(tmp_path: Path) -> None:
    told = {**TRUTH, "v_c": [(50.0, 0.0, "Children build a castle of sand.")]}
    for rules in (STRICT, OFFICIAL):
        result = scored(tmp_path, told, rules)
        assert figure(result, "Recall", "0") == pytest.approx(200 / 3)
        assert "1 predicted intervals end where they start or before; they meet nothing" in result.notes


def read_grounding(folder: Path, entries: Any, truth: Mapping[str, Events] = TRUTH) -> Any:
    path = folder / "said.json"
    path.write_text(json.dumps(entries or [{"video": "v_a", "query": "A dog barks", "timestamp": [35, 40]}]))
    return BENCHMARK.read(Files(path, (truth_file(folder, truth),)))


def test_intervals_of_sentences_are_told_apart_by_their_form(tmp_path: Path) -> None:
    asked = [
        {"video": video, "query": text.strip().rstrip("."), "timestamp": [start_s, end_s]}
        for video, events in TRUTH.items()
        for start_s, end_s, text in events
    ]
    by_number = [
        {"vid": video.removeprefix("v_"), "sentence_id": number, "timestamp": [[start_s, end_s]]}
        for video, events in TRUTH.items()
        for number, (start_s, end_s, _) in enumerate(events)
    ]
    named = {str(place): {**entry, "vid": entry["video"]} for place, entry in enumerate(asked)}
    for entries in (asked, named, by_number):
        grounding = read_grounding(tmp_path, entries)
        assert not isinstance(grounding, Dense)
        result = BENCHMARK.score(grounding, STRICT)
        assert result.metrics == {"R1@0.3": 100, "R1@0.5": 100, "R1@0.7": 100, "mIoU": 100}
        assert result.counts.queries == 6


def test_queries_without_interval_are_wrong_and_officially_not_asked(tmp_path: Path) -> None:
    grounding = read_grounding(tmp_path, [])
    assert BENCHMARK.score(grounding, STRICT).metrics["mIoU"] == pytest.approx(100 / 6)
    assert BENCHMARK.score(grounding, OFFICIAL).metrics["mIoU"] == 100


def test_a_sentence_that_a_video_has_twice_takes_its_intervals_in_turn(tmp_path: Path) -> None:
    truth = {"v_a": [(0, 10, "A dog barks."), (20, 30, "A dog barks.")]}
    entries = [{"video": "v_a", "query": "A dog barks.", "timestamp": span} for span in ([0, 10], [20, 30])]
    assert BENCHMARK.score(read_grounding(tmp_path, entries, truth), STRICT).metrics["mIoU"] == 100


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"video": "v_a", "query": "A cat barks.", "timestamp": [0, 1]}, "no query 'v_a: A cat barks.'"),
        ({"video": "v_z", "query": "A dog barks.", "timestamp": [0, 1]}, "no query 'v_z: A dog barks.'"),
        ({"video": "v_a", "sentence_id": 9, "timestamp": [0, 1]}, "no query 'v_a/9'"),
        ({"video": "v_a", "sentence_id": 0, "timestamp": [70, 80]}, "[70, 80] is beyond the video"),
    ],
)
def test_intervals_of_unknown_sentences_and_times_are_refused(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match="entry 1") as caught:
        BENCHMARK.score(read_grounding(tmp_path, [entry]), STRICT)
    assert message in str(caught.value)


def test_intervals_of_sentences_take_one_reference_set(tmp_path: Path) -> None:
    read_grounding(tmp_path, [])
    truth = truth_file(tmp_path, TRUTH)
    with pytest.raises(UserError, match="one reference set"):
        BENCHMARK.read(Files(tmp_path / "said.json", (truth, truth)))


@pytest.mark.filterwarnings("error")
def test_no_time_however_large_makes_a_figure_that_is_no_number(tmp_path: Path) -> None:
    huge = 1e308
    odd = [(-huge, huge, "x"), (huge, -huge, "y"), (5.0, 5.0, "z")]
    told = {"v_a": [*odd, (-5.0, 10.0, "A man opens a door.")]}
    result = scored(tmp_path, told, OFFICIAL)
    assert json.dumps(result.metrics, allow_nan=False)
    assert figure(result, "Recall", "1") == pytest.approx(100 / 3)


class StandIn:
    """METEOR that gives 1 where the caption is no longer than its reference; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def score(
        self,
        references: Sequence[Sequence[str]],
        candidates: Sequence[str],
        groups: Sequence[int] | None = None,
    ) -> tuple[Any, Any]:
        pairs = [(said, texts[0]) for said, texts in zip(candidates, references, strict=True)]
        self.asked += pairs if groups is None else []
        scores = [float(len(said) <= len(true)) for said, true in pairs]
        return np.array(scores), np.zeros(max(groups or [0]) + 1)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    meteor = StandIn()
    monkeypatch.setattr(scoring, "meteor_unavailable", lambda: None)
    for module in (story, sentences):
        monkeypatch.setattr(module, "shared_meteor", lambda: meteor)
    return meteor


def test_the_reference_is_what_is_true_but_in_the_published_story_what_is_said(
    tmp_path: Path, standin: StandIn
) -> None:
    told = {"v_c": [(0.0, 50.0, "Children build.")]}
    truth = {"v_c": TRUTH["v_c"]}
    assert figure(scored(tmp_path, told, STRICT, [truth]), "SODA_c", "f1") == 100
    assert standin.asked == [("children build", "children build a castle of sand")]
    assert figure(scored(tmp_path, told, OFFICIAL, [truth]), "SODA_c", "f1") == 0
    assert standin.asked[1:] == [("children build a castle of sand", "children build")]


def test_captions_whose_score_cannot_count_are_not_asked_about(tmp_path: Path, standin: StandIn) -> None:
    scored(tmp_path, TRUTH)
    assert len(standin.asked) == 3 + 4 + 1  # of v_a, no two overlap; of v_b all four pairs do
