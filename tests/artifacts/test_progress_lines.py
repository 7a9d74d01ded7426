"""Progress leaves a readable trail in a log and a bar on a terminal."""

import io
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from d2vlm_pipeline.artifacts import track


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    fake = Clock()
    monkeypatch.setattr(time, "monotonic", fake)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    return fake


def ticking(clock: Clock, count: int, step_s: float) -> Iterator[int]:
    for i in range(count):
        clock.now_s += step_s
        yield i


def test_items_pass_through_unchanged(clock: Clock) -> None:
    assert list(track(range(5), "render")) == [0, 1, 2, 3, 4]


def test_fast_steps_leave_a_line_per_tenth(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    list(track(ticking(clock, 200, 0.01), "render", total=200, unit="clips"))
    assert len(caplog.messages) == 10
    assert caplog.messages[0].startswith("render: 20/200 clips (10 %)")
    assert caplog.messages[-1].startswith("render: 200/200 clips (100 %)")
    assert caplog.messages[-1].endswith("done")


def test_slow_steps_leave_a_line_every_15_s(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    list(track(ticking(clock, 300, 1.0), "train", total=1200))
    assert [line.split(" ")[1] for line in caplog.messages[:4]] == [
        "15/1200",
        "30/1200",
        "45/1200",
        "60/1200",
    ]
    assert caplog.messages[0] == "train: 15/1200 it (1 %), 15 s, 1 it/s, 1185 s left"


def test_unknown_total_still_reports(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    list(track(ticking(clock, 40, 1.0), "scan"))
    assert caplog.messages[0].startswith("scan: 15 it, 15 s")
    assert caplog.messages[-1] == "scan: 40 it, 40 s, 1 it/s, done"


def test_length_is_taken_from_a_sized_iterable(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    list(track(["a", "b"], "x"))
    assert caplog.messages[-1].startswith("x: 2/2 it (100 %)")


def test_nothing_to_do_says_so(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    assert list(track([], "x")) == []
    assert len(caplog.messages) == 1


def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track([1, 2, 3], "render", unit="clips")) == [1, 2, 3]
    assert "render" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()
    assert caplog.messages == []
