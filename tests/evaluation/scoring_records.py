"""Builders of samples and predictions for the scoring tests."""

import zlib
from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation import EvaluationConfig, Pair, match_predictions, parse_generation
from d2vlm_pipeline.evaluation.contributions import MetricContext
from d2vlm_pipeline.evaluation.scores import Score, score_system
from d2vlm_pipeline.timeline import ModelRef, PredictedInterval, Prediction, Sample

THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
CONFIG = EvaluationConfig(resamples=50)
CONTEXT_SEED = 3

CAPTIONS = [
    f"a {colour} {thing} {verb}"
    for colour in ("red", "blue", "green")
    for thing in ("ball", "star")
    for verb in ("enters", "grows", "blinks")
]

Span = tuple[float, float]


def one_hot(texts: Sequence[str]) -> np.ndarray:
    """Embedding in which different captions are orthogonal."""
    vectors = np.zeros((len(texts), 1024))
    vectors[range(len(texts)), [zlib.crc32(text.encode()) % 1024 for text in texts]] = 1.0
    return vectors


def context() -> MetricContext:
    return MetricContext(thresholds=THRESHOLDS, seed=CONTEXT_SEED, embed=one_hot)


def sample(
    task: str,
    events: Sequence[tuple[float, float] | tuple[float, float, str]] = ((2.0, 6.0),),
    key: str = "s0",
    video: str | None = None,
    split: str = "test-iid",
    right: int | None = None,
    options: tuple[str, ...] = ("red", "blue", "green", "white"),
    question: str = "When does it happen?",
) -> Sample:
    rows = [{"start_s": row[0], "end_s": row[1], "caption": row[2] if len(row) > 2 else ""} for row in events]
    choice = "" if right is None else f"({'ABCDEF'[right]}) {options[right]}."
    places = ", and ".join(["<evi>"] * len(rows))
    if task in ("dvc", "slc", "tvc") and rows:
        answer = " ".join(f"<evi>, {row['caption']}." for row in rows)
    elif task == "rvc":
        answer, rows = rows[0]["caption"].capitalize() + ".", []
    elif task in ("mcq", "rar", "eca", "rvq"):
        answer, rows = choice, []
    elif rows:
        answer = f"{choice} The event happens in {places}.".strip()
    else:
        answer = choice or "No such event happens in the video."
    return Sample(
        id=key,
        video=video or f"{key}.mp4",
        task=task,
        source="world",
        split=split,
        question=question,
        events=rows,
        answer=answer,
        options=options if right is not None else None,
        answer_index=right,
    )


def intervals(spans: Sequence[Span]) -> list[PredictedInterval]:
    return [PredictedInterval(start_s=start, end_s=end, confidence=0.9) for start, end in spans]


def predict(of: Sample, raw: str, spans: Sequence[Span] = (), system: str = "sft") -> Prediction:
    """Prediction of a raw response; `spans` are the intervals of all its `<evi>` in order."""
    parsed = parse_generation(raw, intervals(spans), of.task, of.options)
    return Prediction(
        sample_id=of.id,
        video=of.video,
        task=of.task,
        system=system,
        question=of.question,
        raw=raw,
        timebase_digest="t",
        model=ModelRef(name="m", digest="d"),
        **parsed._asdict(),
    )


def places(of: Sample, answer: Sequence[Span], evidence: Sequence[Span] | None = None) -> Prediction:
    """Prediction that names intervals, by default the same in both halves."""
    evidence = answer if evidence is None else evidence
    text = ", and ".join(["<evi>"] * len(answer))
    return predict(of, f"{'<evi>' * len(evidence)}</evi>It happens in {text}.", [*evidence, *answer])


def captions(of: Sample, said: Sequence[tuple[float, float, str]]) -> Prediction:
    """Dense-caption prediction with the same intervals in both halves."""
    spans = [(start, end) for start, end, _ in said]
    text = " ".join(f"<evi>, {caption}." for _, _, caption in said)
    return predict(of, f"{'<evi>' * len(said)}</evi>{text}", [*spans, *spans])


def truth(of: Sample) -> Prediction:
    """The prediction that repeats the true response."""
    response = of.response()
    spans = [(interval.start_s, interval.end_s) for interval in response.evidence]
    return predict(of, response.render(), [*spans, *spans])


def pairs(*rows: tuple[Sample, Prediction | None]) -> list[Pair]:
    return match_predictions([s for s, _ in rows], [p for _, p in rows if p is not None])


def score(*rows: tuple[Sample, Prediction | None], config: EvaluationConfig = CONFIG) -> dict[str, Score]:
    """Metrics of one task, in percent."""
    scores = score_system([s for s, _ in rows], [p for _, p in rows if p is not None], config, embed=one_hot)
    ((task_scores,),) = ([list(by_task.values()) for by_task in scores.values()],)
    return task_scores[0]


def values(*rows: tuple[Sample, Prediction | None], config: EvaluationConfig = CONFIG) -> dict[str, float]:
    return {name: metric["value"] for name, metric in score(*rows, config=config).items()}


def demo_world(
    clips: int = 12, split: str = "test-iid", seed: int = 5
) -> tuple[list[Sample], dict[str, float]]:
    """One sample of every task on each of a few invented clips, and the clips' lengths."""
    rng = np.random.default_rng(seed)
    samples, durations = [], {}
    for clip in range(clips):
        video = f"{split}-{clip:03d}.mp4"
        durations[video] = float(rng.uniform(16, 40))
        starts = np.sort(rng.uniform(0, durations[video] - 4, size=3)).round(1)
        events = [(float(s), float(s) + 3.0, CAPTIONS[rng.integers(len(CAPTIONS))]) for s in starts]
        right = int(rng.integers(4))
        for task in ("tvg", "epm", "vhd", "tem"):
            samples.append(sample(task, events[:1], f"{video}-{task}", video, split))
        for task in ("tal", "evs", "dvc", "slc", "tvc"):
            samples.append(sample(task, events, f"{video}-{task}", video, split))
        samples.append(sample("tvg", [], f"{video}-absent", video, split))
        samples.append(sample("rvc", events[:1], f"{video}-rvc", video, split))
        samples.append(sample("gvq", events[1:2], f"{video}-gvq", video, split, right=right))
        for task in ("rar", "eca", "rvq", "mcq"):
            samples.append(sample(task, [], f"{video}-{task}", video, split, right=right))
    return samples, durations
