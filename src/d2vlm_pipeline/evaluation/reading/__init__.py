"""What a free-text answer says: intervals, captions, moments and options, by tables of rules.

No text makes a reader raise or give a number that is not finite, and each takes time linear in its length.
The public scripts' rules are kept to the letter (`original_…`, `d2vlm_…`); `careful_…` is what people read.
"""

from d2vlm_pipeline.evaluation.reading.careful import (
    CAREFUL_INTERVALS,
    careful_intervals,
    careful_moment,
    halves,
)
from d2vlm_pipeline.evaluation.reading.careful_captions import careful_described
from d2vlm_pipeline.evaluation.reading.described import (
    DESCRIBED,
    Described,
    d2vlm_described,
    original_described,
)
from d2vlm_pipeline.evaluation.reading.intervals import (
    D2VLM_INTERVALS,
    EVIDENCE_INTERVALS,
    ORIGINAL_INTERVALS,
    Said,
    d2vlm_intervals,
    first_signed_number,
    original_intervals,
)
from d2vlm_pipeline.evaluation.reading.options import (
    CAREFUL_LETTERS,
    OPTION_LETTERS,
    Option,
    Trail,
    bracket_or_first,
    careful_option,
    first_character,
    lettered,
)
from d2vlm_pipeline.evaluation.reading.rule import Rule, Span, first_that_applies

PARSER_VERSION = "1"
"""Changes whenever any text is read differently; it stands beside predictions and scores."""

__all__ = [
    "CAREFUL_INTERVALS",
    "CAREFUL_LETTERS",
    "D2VLM_INTERVALS",
    "DESCRIBED",
    "EVIDENCE_INTERVALS",
    "OPTION_LETTERS",
    "ORIGINAL_INTERVALS",
    "PARSER_VERSION",
    "Described",
    "Option",
    "Rule",
    "Said",
    "Span",
    "Trail",
    "bracket_or_first",
    "careful_described",
    "careful_intervals",
    "careful_moment",
    "careful_option",
    "d2vlm_described",
    "d2vlm_intervals",
    "first_character",
    "first_signed_number",
    "first_that_applies",
    "halves",
    "lettered",
    "original_described",
    "original_intervals",
]
