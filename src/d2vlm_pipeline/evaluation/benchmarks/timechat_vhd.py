"""Highlight detection on QVHighlights as TimeChat scores it (arXiv 2312.02051)."""

from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.files import read
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.rules import VHD_PROTOCOLS, VHD_TRAPS
from d2vlm_pipeline.evaluation.benchmarks.qvhighlights.scoring import score
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark

BENCHMARK = Benchmark(
    name="timechat-vhd",
    summary="highlight detection on QVHighlights: mAP and Hit1 of clip scores",
    read=read,
    score=score,
    protocols=VHD_PROTOCOLS,
    traps=VHD_TRAPS,
)
