"""Samples beside their predictions: the one place where the denominator is decided.

A sample without prediction stays, with None; an unparsed prediction stays, and asserts nothing. A prediction
without sample is refused, because a score over the wrong file would look like a score.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.overlap import Floats, as_array
from d2vlm_pipeline.evaluation.parsing import answer_text, option_index, reads_as_denial
from d2vlm_pipeline.timeline import EvidenceSegment, Prediction, Sample

Half = Literal["answer", "evidence"]

SUFFIX: dict[Half, str] = {"answer": "", "evidence": "_evi"}
"""What a metric's name ends with, by the half it is computed on."""

_CAPTION_EDGE = " \t\r\n,.;:-"


class Pair(NamedTuple):
    """One sample and what a system answered; every accessor reads an unparsed answer as saying nothing."""

    sample: Sample
    prediction: Prediction | None

    @property
    def parsed(self) -> bool:
        """Whether there is a prediction in the form of a response."""
        return self.prediction is not None and self.prediction.parsed

    @property
    def truth_G2(self) -> Floats:
        """True intervals, [G, 2] seconds."""
        return as_array(event.interval for event in self.sample.events)

    def intervals_P2(self, half: Half) -> Floats:
        """Predicted intervals of one half in order of emission, [P, 2] seconds."""
        if self.prediction is None or not self.prediction.parsed:
            return as_array(())
        if half == "evidence":
            return as_array(self.prediction.evidence)
        return as_array(self.prediction.answer_intervals)

    def captions(self, half: Half) -> list[str]:
        """The caption of each interval of a half: the words between its reference and the next."""
        if self.prediction is None or not self.prediction.parsed:
            return []
        spoken = _captions_by_reference(self.prediction)
        if half == "answer":
            return [caption for _, caption in spoken]
        by_evidence = {k: caption for k, caption in spoken if k is not None}
        return [by_evidence.get(k, "") for k in range(len(self.prediction.evidence))]

    @property
    def text(self) -> str:
        """The words of the answer, without times."""
        return answer_text(self.prediction.segments) if self.prediction and self.prediction.parsed else ""

    @property
    def is_right_option(self) -> bool:
        """Whether the answer names the right option by its letter."""
        sample = self.sample
        return sample.options is not None and (
            option_index(self.text, len(sample.options)) == sample.answer_index
        )

    def denies(self, half: Half) -> bool:
        """Whether the half says that nothing occurs: no interval and, in the answer, words to that effect."""
        if not self.parsed or len(self.intervals_P2(half)):
            return False
        return half == "evidence" or reads_as_denial(self.text)

    @property
    def has_unpaired(self) -> bool:
        """Whether some reference of the answer has no partner in the evidence half."""
        segments = self.prediction.segments if self.prediction is not None else ()
        return any(isinstance(segment, EvidenceSegment) and segment.evidence is None for segment in segments)


def match_predictions(samples: Iterable[Sample], predictions: Iterable[Prediction]) -> list[Pair]:
    """Pairs in the order of sample ids, one for every sample.

    Raises:
        UserError: two samples or two predictions with one id, a prediction without id or for an unknown one,
            or one whose video or task is not its sample's.
    """
    by_id = _unique_samples(samples)
    answers: dict[str, Prediction] = {}
    for prediction in predictions:
        _check_belongs(prediction, by_id)
        if prediction.sample_id in answers:
            raise UserError(f"two predictions for sample {prediction.sample_id}; keep one of them")
        answers[str(prediction.sample_id)] = prediction
    return [Pair(by_id[key], answers.get(key)) for key in sorted(by_id)]


def plain_caption(text: str) -> str:
    """A caption without the punctuation that joins it to its neighbours."""
    return text.strip(_CAPTION_EDGE)


def parse_failures(pairs: Sequence[Pair]) -> dict[str, int]:
    """How often each reason made an answer unparsed, `no prediction` among them; most frequent first."""
    counts: dict[str, int] = {}
    for pair in pairs:
        if not pair.parsed:
            reason = "no prediction" if pair.prediction is None else str(pair.prediction.parse_error)
            counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _captions_by_reference(prediction: Prediction) -> list[tuple[int | None, str]]:
    spoken: list[tuple[int | None, str]] = []
    for segment in prediction.segments:
        if isinstance(segment, EvidenceSegment):
            spoken.append((segment.evidence, ""))
        elif spoken:
            spoken[-1] = (spoken[-1][0], spoken[-1][1] + segment.text)
    return [(partner, plain_caption(caption)) for partner, caption in spoken]


def _unique_samples(samples: Iterable[Sample]) -> dict[str, Sample]:
    by_id: dict[str, Sample] = {}
    for sample in samples:
        if sample.id in by_id:
            raise UserError(f"two samples with id {sample.id}; give each its own")
        by_id[sample.id] = sample
    return by_id


def _check_belongs(prediction: Prediction, by_id: dict[str, Sample]) -> None:
    if prediction.sample_id is None:
        raise UserError(
            f"a prediction for {prediction.video} has no sample_id; score only answers to samples"
        )
    sample = by_id.get(prediction.sample_id)
    if sample is None:
        raise UserError(
            f"prediction for sample {prediction.sample_id}, which is not among the samples; "
            "score the predictions against the samples they were made from"
        )
    if prediction.video != sample.video or prediction.task not in (None, sample.task):
        raise UserError(
            f"prediction for sample {sample.id} names {prediction.video} ({prediction.task}), the sample "
            f"{sample.video} ({sample.task}); predict again from the present samples"
        )
