"""What caption metrics are made with in this process."""

from collections.abc import Mapping

from d2vlm_pipeline.evaluation.benchmarks.etbench.described import CaptionTools
from d2vlm_pipeline.evaluation.captions import ptb_tokenize
from d2vlm_pipeline.evaluation.similarity import default_encoder


def caption_tools() -> tuple[CaptionTools, Mapping[str, str]]:
    """Sentence encoder, tokeniser and METEOR; metric to why it cannot be computed here, and the mend."""
    return CaptionTools(default_encoder(), ptb_tokenize, None), {}
