"""Strict models refuse what they do not know, and say so in one line."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import StrictModel, validation_reason


class Leaf(StrictModel):
    rate: float = 1.0


class Tree(StrictModel):
    leaves: tuple[Leaf, ...] = ()
    name: str = "x"


def reason(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Tree(**fields)
    return validation_reason(caught.value)


def test_unknown_key_is_named() -> None:
    assert reason(nmae=1) == "nmae: Extra inputs are not permitted (got 1)"


def test_reason_names_the_nested_place() -> None:
    assert reason(leaves=[{}, {"rate": "fast"}]).startswith("leaves.1.rate: ")
    assert "'fast'" in reason(leaves=[{}, {"rate": "fast"}])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_must_be_finite(bad: float) -> None:
    assert "finite" in reason(leaves=[{"rate": bad}])


def test_reason_is_one_short_line() -> None:
    text = reason(leaves=[{"rate": "a\nb" * 1000}])
    assert "\n" not in text
    assert len(text) < 250


def test_models_are_immutable() -> None:
    with pytest.raises(ValidationError):
        Tree().name = "y"  # type: ignore[misc]
