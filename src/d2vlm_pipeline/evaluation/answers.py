"""How a system without a language model writes its answer, so that it is parsed and scored like any other."""

from collections.abc import Sequence
from dataclasses import dataclass

from d2vlm_pipeline.artifacts import digest_json
from d2vlm_pipeline.evaluation.parsing import parse_generation
from d2vlm_pipeline.timeline import EVI, EVI_END, ModelRef, PredictedInterval, Prediction, Sample

_DENSE_CAPTION_TASKS = ("dvc", "slc", "tvc")


@dataclass(frozen=True)
class Guess:
    """What a baseline has to say about a sample; only what the sample's task asks for is used.

    Attributes:
        spans: intervals (start_s, end_s).
        captions: one for each span, where the task wants captions.
        option: index of the chosen option.
        text: an answer that is words alone.
    """

    spans: Sequence[tuple[float, float]] = ()
    captions: Sequence[str] = ()
    option: int | None = None
    text: str = ""


def guess_prediction(sample: Sample, guess: Guess, system: str, seed: int = 0) -> Prediction:
    """The Prediction record of a guess: rendered as a response, then parsed like a generated one."""
    raw = render_guess(sample, guess)
    spans = guess.spans if EVI in raw else ()
    # A baseline has no opinion on how sure it is.
    intervals = [PredictedInterval(start_s=start_s, end_s=end_s, confidence=0.5) for start_s, end_s in spans]
    response = parse_generation(raw, [*intervals, *intervals], sample.task, sample.options)
    return Prediction(
        sample_id=sample.id,
        video=sample.video,
        task=sample.task,
        system=system,
        question=sample.question,
        raw=raw,
        decoding={"strategy": "baseline"},
        seed=seed,
        timebase_digest="",
        model=ModelRef(name=system, digest=digest_json(["baseline", system])),
        **response._asdict(),
    )


def render_guess(sample: Sample, guess: Guess) -> str:
    """Both halves as text: `<evi></evi>The event happens in <evi>.`"""
    choice = "" if guess.option is None else _option_text(sample, guess.option)
    if sample.task in _DENSE_CAPTION_TASKS:
        answer = " ".join(f"{EVI}, {caption}." for caption in guess.captions)
    elif not guess.spans:
        answer = choice or guess.text
    else:
        places = ", and ".join([EVI] * len(guess.spans))
        answer = f"{choice} The event happens in {places}.".strip()
    return EVI * answer.count(EVI) + EVI_END + answer


def _option_text(sample: Sample, option: int) -> str:
    if sample.options is None:
        raise ValueError(f"sample {sample.id} has no options to choose from")
    return f"({chr(ord('A') + option)}) {sample.options[option]}."
