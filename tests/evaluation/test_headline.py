"""The figures that people compare between runs."""

from typing import Any

from d2vlm_pipeline.evaluation.headline import headline


def score(value: float) -> dict[str, Any]:
    return {"value": value, "low": 0.0, "high": 100.0, "n": 4, "unparsed": 0}


SCORES: Any = {
    "chance": {"test-iid": {"tvg": {"f1": score(20.0)}}},
    "fpo": {
        "test-iid": {"tvg": {"f1": score(84.5), "r1@0.3": score(90.0)}, "mcq": {"accuracy": score(64.6)}},
        "val": {"tvg": {"f1": score(80.0)}},
    },
}


def test_systems_that_learn_are_shown_by_what_summaries_show() -> None:
    assert headline(SCORES) == {
        "test-iid": {"fpo": {"tvg": {"f1": 84.5}, "mcq": {"accuracy": 64.6}}},
        "val": {"fpo": {"tvg": {"f1": 80.0}}},
    }


def test_whose_and_what_can_be_said() -> None:
    assert headline(SCORES, systems=["chance", "sft"], metrics={"tvg": ["f1"]}) == {
        "test-iid": {"chance": {"tvg": {"f1": 20.0}}}
    }
