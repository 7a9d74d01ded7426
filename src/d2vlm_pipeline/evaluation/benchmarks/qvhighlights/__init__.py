"""QVHighlights (Lei et al., NeurIPS 2021): moment retrieval and highlight detection.

The public script is moment_detr's `standalone_eval`; TimeChat's for highlights is a copy of it that leaves
out queries without prediction.
"""

from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.files import read
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import PROTOCOLS, TRAPS, Rules
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.scoring import score
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark

BENCHMARK = Benchmark(
    name="qvhighlights",
    summary="moment retrieval (mAP, R1, by length of the moment) and highlight detection (mAP, Hit1)",
    read=read,
    score=score,
    protocols=PROTOCOLS,
    traps=TRAPS,
)

__all__ = ["BENCHMARK", "Rules", "read", "score"]
