from pathlib import Path
from typing import Any

from annotations.reading import VIDEOS, only_rejection, only_sample, write_json
from d2vlm_pipeline.annotations import ImportConfig, Rejection, VideoNames
from d2vlm_pipeline.annotations.fpo_pairs import read_pairs
from d2vlm_pipeline.timeline import PreferencePair


def said(answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": "<image>\nWhen?"}, {"from": "gpt", "value": answer}]


ROW: dict[str, Any] = {
    "task": "dvc",
    "source": "coin",
    "video": "a.mp4",
    "duration": 120.0,
    "tgt": {"chosen": [1, 2, 5, 9], "x_0_shift": [3, 4, 5, 9], "x_0_merge": [1, 9]},
    "conversations": {
        "chosen": said("<evi><evi></evi><evi>, cut. <evi>, fry."),
        "x_0_shift": said("<evi><evi></evi><evi>, cut. <evi>, fry."),
        "x_0_merge": said("<evi></evi><evi>, cut and fry."),
        "x_0_repeat": said("<evi><evi></evi><evi>, cut. <evi>, cut."),
    },
}


def pairs(tmp_path: Path, *rows: Any) -> list[PreferencePair | Rejection]:
    path = write_json(tmp_path / "fpo.json", list(rows))
    found = read_pairs(path, ImportConfig(format="fpo", split="train"), VideoNames(VIDEOS))
    return [entry if isinstance(entry, Rejection) else entry[1] for entry in found]


def test_the_chosen_response_is_the_sample(tmp_path: Path) -> None:
    sample = only_sample(write_json(tmp_path / "fpo.json", [ROW]), "fpo")
    spans = [(event.start_s, event.end_s, event.caption) for event in sample.events]
    assert spans == [(1, 2, "cut"), (5, 9, "fry")]


def test_every_variant_is_a_pair_with_its_axis(tmp_path: Path) -> None:
    found = pairs(tmp_path, ROW)
    assert all(isinstance(pair, PreferencePair) for pair in found)
    by_key = {pair.factors[0].operator: pair for pair in found if isinstance(pair, PreferencePair)}
    axes = {key: pair.factors[0].axis for key, pair in by_key.items()}
    assert axes == {"x_0_shift": "boundaries", "x_0_merge": "event_set", "x_0_repeat": "text"}
    assert by_key["x_0_merge"].rejected.render() == "<evi></evi><evi>, cut and fry."
    # A corruption of the words keeps the chosen intervals.
    assert by_key["x_0_repeat"].rejected.evidence == by_key["x_0_repeat"].chosen.evidence


def test_a_bad_variant_costs_itself(tmp_path: Path) -> None:
    conversations = {**ROW["conversations"], "x_0_merge": said("<evi></evi><evi>, cut. <evi>, fry.")}
    found = pairs(tmp_path, {**ROW, "conversations": conversations})
    assert [entry.code for entry in found if isinstance(entry, Rejection)] == ["bad_count"]
    assert sum(isinstance(entry, PreferencePair) for entry in found) == 2


def test_a_variant_that_says_the_same_is_no_pair(tmp_path: Path) -> None:
    row = {**ROW, "tgt": {**ROW["tgt"], "x_0_shift": [1, 2, 5, 9]}}
    codes = [entry.code for entry in pairs(tmp_path, row) if isinstance(entry, Rejection)]
    assert codes == ["invalid_record"]


def test_an_entry_without_chosen_response(tmp_path: Path) -> None:
    conversations = {key: turns for key, turns in ROW["conversations"].items() if key != "chosen"}
    row = {**ROW, "conversations": conversations}
    assert only_rejection(write_json(tmp_path / "fpo.json", [row]), "fpo").code == "bad_count"
