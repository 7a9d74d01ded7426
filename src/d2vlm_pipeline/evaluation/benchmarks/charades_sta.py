"""Charades-STA (Gao et al., ICCV 2017): R@1 at IoU 0.3, 0.5, 0.7 and mIoU over queries, in percent."""

from __future__ import annotations

from pathlib import Path

from d2vlm_pipeline.evaluation.benchmarks.grounding import (
    GROUNDING_PROTOCOLS,
    GROUNDING_TRAPS,
    Asked,
    Grounding,
    GroundingRules,
    read_caption_coco,
    read_charades_lines,
    read_said,
    score_grounding,
)
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Files


def read(files: Files) -> Grounding:
    """Predictions of either form; truth as `caption_coco` JSON or as the original text file.

    Raises:
        UserError: unreadable, or of another form; names file and place.
    """
    (truth,) = files.truths
    return Grounding(_read_truth(truth), read_said(files.predictions))


def _read_truth(path: Path) -> tuple[Asked, ...]:
    # No video is called anything that begins like JSON.
    with_json = path.is_file() and path.open("rb").read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    return read_caption_coco(path) if with_json else read_charades_lines(path)


BENCHMARK: Benchmark[Grounding, GroundingRules] = Benchmark(
    name="charades-sta",
    summary="moment retrieval, one interval a query: R1@0.3 R1@0.5 R1@0.7 mIoU",
    read=read,
    score=score_grounding,
    protocols=GROUNDING_PROTOCOLS,
    traps=GROUNDING_TRAPS,
)
