"""Public benchmarks, scored under their published protocols and under one that a careful reader expects."""

from importlib import import_module
from typing import Any

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark

# Modules by name alone, so that the command line can list the names without loading the scoring code.
REGISTRY: dict[str, str] = {
    "activitynet-captions": "d2vlm_pipeline.evaluation.benchmarks.activitynet_captions:BENCHMARK",
    "charades-sta": "d2vlm_pipeline.evaluation.benchmarks.charades_sta:BENCHMARK",
    "etbench": "d2vlm_pipeline.evaluation.benchmarks.etbench:BENCHMARK",
    "grounded": "d2vlm_pipeline.evaluation.benchmarks.grounded:BENCHMARK",
    "mvbench": "d2vlm_pipeline.evaluation.benchmarks.mvbench:BENCHMARK",
    "qvhighlights": "d2vlm_pipeline.evaluation.benchmarks.qvhighlights:BENCHMARK",
    "timechat-vhd": "d2vlm_pipeline.evaluation.benchmarks.timechat_vhd:BENCHMARK",
    "video-mme": "d2vlm_pipeline.evaluation.benchmarks.video_mme:BENCHMARK",
    "youcook2": "d2vlm_pipeline.evaluation.benchmarks.youcook2:BENCHMARK",
}
"""Benchmark to `module:value`."""


def find_benchmark(name: str) -> Benchmark[Any, Any]:
    """The benchmark of that name.

    Raises:
        UserError: there is none.
    """
    if name not in REGISTRY:
        raise UserError(f"no benchmark {name!r}; one of {' '.join(sorted(REGISTRY))}")
    module, _, value = REGISTRY[name].partition(":")
    found: Benchmark[Any, Any] = getattr(import_module(module), value)
    return found
