"""Questions → predictions on Ray: an actor pool, each actor with the model, over portions of questions.

The adapter of `evaluation.answering.answer_here`: the same portions, the same predictions, to the byte. An
actor gets the features of a portion's clips with its questions, so that nothing need lie where every node
sees it; at most one portion waits behind the one that an actor works on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

import numpy as np

from d2vlm_pipeline.artifacts import UserError, track
from d2vlm_pipeline.evaluation.answering import Answer, Portion
from d2vlm_pipeline.evaluation.predictor import Predictor
from d2vlm_pipeline.orchestration.ray_session import check_room, ray_session
from d2vlm_pipeline.orchestration.ray_settings import RayAnswers, RaySettings
from d2vlm_pipeline.timeline import Prediction, Question, TimeBase

_Clips = Mapping[str, tuple[np.ndarray, TimeBase]]


@dataclass(frozen=True)
class Sent:
    """Features and times that came with the questions."""

    clips: _Clips

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Of a video that is asked about."""
        return self.clips[video]


class Answerer:
    """Answers one portion after the other with a model of its own."""

    def __init__(self, predictor: Predictor, threads: int, has_gpu: bool) -> None:
        import torch

        # As many as without Ray: the last bits of a confidence depend on it.
        torch.set_num_threads(threads)
        if has_gpu:
            predictor.bundle.model.to("cuda")
        self._predictor = predictor

    def answer(self, questions: Sequence[Question], clips: _Clips) -> list[Prediction]:
        """Predictions in the order of the questions."""
        return replace(self._predictor, source=Sent(clips)).answer_batch(questions)


def answer_on_ray(predictor: Predictor, threads: int, settings: RaySettings) -> Answer:
    """Answer with a pool of actors; Ray runs for as long as there is something to answer.

    Raises:
        UserError: no cluster, not enough room on this machine, or an actor dies again and again.
    """

    def answer(portions: Sequence[Portion]) -> Iterator[tuple[Portion, list[Prediction]]]:
        if not portions:
            return
        with ray_session(settings):
            from ray.exceptions import OutOfMemoryError, RayActorError

            pool = settings.answers
            cpus, gpus = pool.actors * pool.cpus_per_actor, pool.actors * pool.gpus_per_actor
            check_room(settings, "ray.answers", "ray.answers.actors", cpus, gpus)
            try:
                done = _spread(portions, predictor, _actors(predictor, threads, pool))
                yield from track(done, f"answer ({predictor.system})", total=len(portions), unit="batch")
            except (RayActorError, OutOfMemoryError) as error:
                raise UserError(
                    f"an actor that answers died more than {pool.retries} times, perhaps for want of memory; "
                    "lower ray.answers.actors or answering.batch_questions"
                ) from error

    return answer


def _actors(predictor: Predictor, threads: int, pool: RayAnswers) -> list[Any]:
    import ray

    # One copy in the object store for all; the driver's features stay here.
    sent = ray.put(replace(predictor, source=Sent({})))
    actor: Any = ray.remote(Answerer)
    made = actor.options(
        num_cpus=pool.cpus_per_actor,
        num_gpus=pool.gpus_per_actor,
        max_restarts=pool.retries,
        max_task_retries=pool.retries,
    )
    return [made.remote(sent, threads, pool.gpus_per_actor > 0) for _ in range(pool.actors)]


def _spread(
    portions: Sequence[Portion], predictor: Predictor, actors: Sequence[Any]
) -> Iterator[tuple[Portion, list[Prediction]]]:
    """Portions as they are answered; each actor has two at a time, one to work on and one to go on with."""
    import ray

    waiting = iter(portions)
    running: dict[Any, tuple[Portion, Any]] = {}

    def hand(actor: Any, portion: Portion) -> None:
        clips = {name: predictor.source.clip(name) for name in {q.video for q in portion.questions}}
        running[actor.answer.remote(portion.questions, clips)] = (portion, actor)

    for actor, portion in zip(islice(cycle(actors), 2 * len(actors)), waiting, strict=False):
        hand(actor, portion)
    while running:
        (finished,), _ = ray.wait(list(running), num_returns=1)
        portion, actor = running.pop(finished)
        predictions = ray.get(finished)
        if (following := next(waiting, None)) is not None:
            hand(actor, following)
        yield portion, predictions
