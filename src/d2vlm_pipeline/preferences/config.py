"""Which operators there are, what each corrupts and where it may be used, and how pairs are drawn."""

from typing import Literal, NamedTuple, get_args

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.preferences.magnitudes import Count, Magnitudes
from d2vlm_pipeline.timeline import GROUNDED_TASKS, Axis

OPERATOR_VERSION = "1"
"""Part of every pair and of every seed: raise it when an operator draws or writes differently."""

Operator = Literal[
    "shift",
    "add",
    "delete",
    "merge",
    "distort",
    "repeat",
    "resize",
    "split",
    "reorder",
    "swap_option",
    "wrong_evidence",
    "wrong_text",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

SAMPLED = "sampled"
"""Names, in place of an operator, that a wrong answer is a model's own: any axis, read off the answer."""

ROUNDING_S = 1e-3
"""Times of invented intervals are whole milliseconds."""

LIST_TASKS = ("tal", "evs")
"""Answers that list intervals in a sentence."""

TIMED_CAPTION_TASKS = ("dvc", "slc", "tvc")
"""Answers that give each interval its caption."""

PHRASE_TASKS = ("gvq", "rvq", "rar", "eca")
"""Answers whose key phrase, an option or the first sentence, is what they are about."""


class OperatorSpec(NamedTuple):
    """The kinds of truth of which an operator corrupts one, and the tasks it is meant for."""

    axes: tuple[Axis, ...]
    tasks: tuple[str, ...]

    @property
    def axis(self) -> Axis:
        """What it corrupts unless a record says otherwise."""
        return self.axes[0]


_EVENT_TASKS = LIST_TASKS + TIMED_CAPTION_TASKS
_EVIDENCE_TASKS = ("gvq", "tem", "tvg", "dvc")
SPECS: dict[Operator, OperatorSpec] = {
    "shift": OperatorSpec(("boundaries",), GROUNDED_TASKS),
    "add": OperatorSpec(("event_set",), _EVENT_TASKS),
    "delete": OperatorSpec(("event_set",), _EVENT_TASKS),
    "merge": OperatorSpec(("event_set",), _EVENT_TASKS),
    "distort": OperatorSpec(("text",), (*TIMED_CAPTION_TASKS, "rvc", *PHRASE_TASKS)),
    "repeat": OperatorSpec(("text",), (*TIMED_CAPTION_TASKS, "rvc")),
    "resize": OperatorSpec(("boundaries",), GROUNDED_TASKS),
    "split": OperatorSpec(("event_set",), _EVENT_TASKS),
    "reorder": OperatorSpec(("event_set",), _EVENT_TASKS),
    "swap_option": OperatorSpec(("option",), (*PHRASE_TASKS, "mcq")),
    "wrong_evidence": OperatorSpec(("boundaries",), _EVIDENCE_TASKS),
    "wrong_text": OperatorSpec(("text", "option"), _EVIDENCE_TASKS),
}


class OperatorWeights(StrictModel):
    """How often each operator is drawn, relative to the others that a task allows; 0 leaves it out."""

    shift: float = Field(default=1.0, ge=0)
    add: float = Field(default=1.0, ge=0)
    delete: float = Field(default=1.0, ge=0)
    merge: float = Field(default=1.0, ge=0)
    distort: float = Field(default=1.0, ge=0)
    repeat: float = Field(default=1.0, ge=0)
    resize: float = Field(default=1.0, ge=0)
    split: float = Field(default=1.0, ge=0)
    reorder: float = Field(default=1.0, ge=0)
    swap_option: float = Field(default=1.0, ge=0)
    wrong_evidence: float = Field(default=1.0, ge=0)
    wrong_text: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _some_operator(self) -> "OperatorWeights":
        if not any(self.of(operator) for operator in OPERATORS):
            raise ValueError("all operator weights are 0; give at least one a positive weight")
        return self

    def of(self, operator: Operator) -> float:
        """Weight of one operator."""
        weight: float = getattr(self, operator)
        return weight


class PreferenceConfig(StrictModel):
    """How preference pairs are drawn.

    Attributes:
        seed: root of all draws.
        pairs_per_sample: pairs wanted of each sample; fewer where its answer allows fewer.
        factors_per_pair: operators whose errors a pair combines, each on an axis of its own; fewer where no
            more fit together.
        epochs: so many sets of pairs are drawn; training that redraws takes another each time round.
        weights: relative frequency of the operators.
        magnitudes: how much each operator changes.
        min_shift_s: smallest move of an edge and smallest length of an invented interval, in seconds; at
            least the gap of the sampled frames, so that a wrong interval is wrong on the frames, too.
        option_distort: what `distort` does to an answer "(B) blue": put another whole option, "(A) red", or
            keep the letter and change the words, "(B) red".
    """

    seed: int = 0
    pairs_per_sample: int = Field(default=2, ge=1)
    factors_per_pair: Count = Count(low=1, high=1)
    epochs: PositiveInt = 1
    weights: OperatorWeights = OperatorWeights()
    magnitudes: Magnitudes = Magnitudes()
    min_shift_s: float = Field(default=1.0, ge=0.01)
    option_distort: Literal["option", "words"] = "option"
