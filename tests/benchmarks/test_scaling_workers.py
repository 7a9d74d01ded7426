"""What the second worker is timed at: work of one size, all of it done."""

import os

import pytest

from benchmarks import scaling_workers as s
from d2vlm_pipeline.artifacts.spreading import spread_here


def test_the_clock_counts_what_came_after_the_warm_up() -> None:
    portions = [["x"] * 3] * (s.WARM_UP + 5)
    counted: list[int] = []

    def size(portion: list[str]) -> int:
        counted.append(len(portion))
        return len(portion)

    found = s._timed(iter(portions), len(portions), size)
    assert counted == [3] * 5 and found["wall_s"] >= 0 and found["cpu_s"] >= 0


@pytest.mark.parametrize("work", ["pairs", "scoring"])
def test_portions_are_of_one_size_and_each_is_work(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s, "SAMPLES", 3 * s.PORTION)
    monkeypatch.setattr(s, "ASKED", 20)
    monkeypatch.setattr(s, "SPLITS", 3)
    function, portions, size = {"pairs": s._pairs, "scoring": s._scoring}[work]()
    assert len(portions) == 3
    sizes = [size(result) for result in spread_here(function, portions[:2])]
    assert min(sizes) > 0 and max(sizes) < 1.2 * min(sizes)


def test_a_job_says_what_one_thing_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s, "ASKED", 5)
    monkeypatch.setattr(s, "SPLITS", s.WARM_UP + 2)
    cpus = sorted(os.sched_getaffinity(0))
    try:
        assert set(s.job("scoring", 1, cpus[:1], on_ray=False)) == {"wall_s", "cpu_s"}
    finally:
        os.sched_setaffinity(0, cpus)
