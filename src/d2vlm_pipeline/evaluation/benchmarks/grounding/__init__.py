"""One query, one interval: how well the first interval said meets the true one (R@1 and mIoU).

For Charades-STA and every benchmark whose predictions come in the same forms: `read_said` reads them,
`Grounding` holds queries and answers, `score_grounding(grounding, rules)` makes the figures.
"""

from d2vlm_pipeline.evaluation.benchmarks.grounding.files import (
    Asked,
    Grounding,
    Said,
    read_caption_coco,
    read_charades_lines,
    read_said,
    same_video,
)
from d2vlm_pipeline.evaluation.benchmarks.grounding.scoring import (
    GROUNDING_PROTOCOLS,
    GROUNDING_TRAPS,
    GroundingRules,
    score_grounding,
)

__all__ = [
    "GROUNDING_PROTOCOLS",
    "GROUNDING_TRAPS",
    "Asked",
    "Grounding",
    "GroundingRules",
    "Said",
    "read_caption_coco",
    "read_charades_lines",
    "read_said",
    "same_video",
    "score_grounding",
]
