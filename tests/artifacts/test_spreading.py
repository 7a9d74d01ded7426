"""Portions done by several processes: same results, same order, errors of one line."""

import pytest

from artifacts.spread_work import dies, drawn, refuses, squared
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.artifacts.spreading import OverProcesses, portions_of, spread_here

PORTIONS = portions_of(range(11), 2)


def test_portions_hold_everything_in_order_whoever_does_them() -> None:
    assert [list(portion) for portion in PORTIONS[-2:]] == [[8, 9], [10]]
    assert portions_of([], 2) == []
    here = list(spread_here(squared, PORTIONS))
    for processes in (1, 2, 4):
        assert list(OverProcesses(processes)(squared, PORTIONS)) == here


def test_what_libraries_draw_depends_on_the_portion_and_not_on_who_does_it() -> None:
    two, three = (list(OverProcesses(processes)(drawn, PORTIONS)) for processes in (2, 3))
    assert two == three and len(set(two)) == len(two)


def test_what_the_work_refuses_is_said_as_it_is() -> None:
    with pytest.raises(UserError, match=r"^five\.csv:5: no such number; drop the row$"):
        list(OverProcesses(2)(refuses, PORTIONS))


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(UserError, match=r"a process .* died, .*; lower compute\.workers") as error:
        list(OverProcesses(2)(dies, PORTIONS))
    assert "\n" not in str(error.value)
