"""The summary and what it measures."""

import io
import subprocess
import sys

import psutil
from rich.console import Console

from d2vlm_pipeline.orchestration.memory import PeakMemory
from d2vlm_pipeline.orchestration.summary import Summary, print_summary

MIB = 1 << 20


def test_peak_memory_counts_children() -> None:
    before = psutil.Process().memory_info().rss
    memory = PeakMemory(interval_s=0.01)
    memory.start()
    child = subprocess.run(
        [sys.executable, "-c", f"import time; block = b'x' * (200 * {MIB}); time.sleep(0.5)"], check=True
    )
    peak = memory.stop()
    assert child.returncode == 0
    assert peak > before + 200 * MIB


def test_peak_memory_stays_after_the_memory_is_free() -> None:
    memory = PeakMemory(interval_s=0.01)
    memory.start()
    block = bytearray(100 * MIB)
    with_block = psutil.Process().memory_info().rss
    memory._stopped.wait(0.2)
    del block
    assert memory.stop() >= with_block - 10 * MIB


def summary_text(width: int, **changes: object) -> str:
    values = {"seconds": {"sft": 61.25}, "total_s": 70.0, "peak_bytes": 2_345_000_000, "metrics": None,
              "decision": None, "places": {"scores": "data/" + "x" * 200 + "/metrics.json"}}  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    print_summary(Summary(**{**values, **changes}), console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_figures_have_units_and_long_paths_stay_whole() -> None:
    text = summary_text(80)
    assert "61.2" in text and "2.35 GB" in text
    assert "metrics.json" in "".join(line.strip() for line in text.splitlines())


def test_scores_are_shown_for_every_split_of_any_system() -> None:
    score = {"value": 50.0, "low": 40.0, "high": 60.0, "n": 3, "unparsed": 0}
    scores = {"prior": {"test-iid": {"tvg": {"f1": score}}}, "fpo": {"val": {"tvg": {"f1": score}}}}
    text = summary_text(60, metrics={"scores": scores})
    assert "test-iid" in text and "val:" in text
