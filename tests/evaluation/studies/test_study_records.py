"""studies.json: what it may hold, and how it is logged."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from d2vlm_pipeline.evaluation.studies import Curve, Figure, Point, Studies, StudiesConfig, Study
from d2vlm_pipeline.tracking import flatten_studies


def figure(**values: Any) -> Figure:
    return Figure(**{"title": "t", "value": 12.5, "low": 10.0, "high": 15.0, "n": 4} | values)


def record(**figures: Figure) -> Studies:
    study = Study(title="T", definition="d", headline=next(iter(figures)), clips=2, figures=figures)
    return Studies(
        schema=1, system="fpo", model="m", splits=("t",), confidence=0.95, resamples=9, studies={"s": study}
    )


def test_the_record_survives_json() -> None:
    made = record(a=figure(), b=figure(required=15.0))
    read = json.loads(made.model_dump_json(by_alias=True))
    assert read["schema"] == 1
    assert Studies.model_validate(read) == made


def test_figures_are_logged_by_name_and_those_without_value_are_not() -> None:
    made = record(**{"loss@0.25": figure(), "none": figure(value=None, low=None, high=None, n=0)})
    assert flatten_studies(made.model_dump(mode="json", by_alias=True)) == {"studies/s/loss_at_0.25": 12.5}


def test_what_falls_short_is_named() -> None:
    (line,) = record(a=figure(required=12.6), b=figure(required=12.5), c=figure()).shortfalls
    assert line == "T: t: 12.5 percent, 12.6 are required"


@pytest.mark.parametrize(
    "values", [{"low": None}, {"value": None, "low": None, "high": None}, {"value": None, "n": 0}]
)
def test_half_a_figure_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"come together|no value"):
        figure(**values)


def test_points_out_of_order_and_missing_headlines_are_refused() -> None:
    points = (Point(x=2, y=1, n=1), Point(x=1, y=1, n=1))
    with pytest.raises(ValidationError, match="at least 1 item"):
        Curve(title="c", x="x", y="y", panel="p", points=())
    with pytest.raises(ValidationError, match="order of x"):
        Curve(title="c", x="x", y="y", panel="p", points=points)
    with pytest.raises(ValidationError, match="no figure other among"):
        Study(title="T", definition="d", headline="other", clips=1, figures={"a": figure()})


@pytest.mark.parametrize(
    ("robustness", "message"),
    [
        ({"shares": [0.5, 0.25]}, "must rise"),
        ({"shares": []}, "must rise"),
        ({"shares": [0.5]}, "is not among the shares"),
        ({"share": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(robustness: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StudiesConfig(robustness=robustness)
