"""CPU time of alternatives, interleaved so that whatever else the machine does hits them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    alternatives: Mapping[str, Callable[[], object]], repetitions: int, warm_up: bool = True
) -> dict[str, float]:
    """Median CPU seconds of this process for each alternative, after one run of each that does not count."""
    for run in alternatives.values() if warm_up else ():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(repetitions):
        for name, run in alternatives.items():
            gc.collect()
            begun = time.process_time()
            run()
            seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(spent) for name, spent in seconds.items()}
