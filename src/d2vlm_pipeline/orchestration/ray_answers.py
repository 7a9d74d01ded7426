"""Questions → predictions on Ray: an actor pool, each actor with the model, over portions of questions.

The adapter of `evaluation.answering.answer_here`: the same portions, the same predictions, to the byte. An
actor gets the features of a portion's clips with its questions, so that nothing need lie where every node
sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.evaluation.answering import Answer, Portion
from d2vlm_pipeline.evaluation.predictor import Predictor
from d2vlm_pipeline.orchestration.ray_pool import OnRay
from d2vlm_pipeline.orchestration.ray_session import ray_session
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.timeline import Prediction, Question, TimeBase

_Clips = Mapping[str, tuple[np.ndarray, TimeBase]]
_Asked = tuple[Sequence[Question], _Clips]


@dataclass(frozen=True)
class Sent:
    """Features and times that came with the questions."""

    clips: _Clips

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Of a video that is asked about."""
        return self.clips[video]


@dataclass(frozen=True)
class Answerer:
    """Answers one portion after the other with a model of its own; called once, where it is to work."""

    predictor: Predictor
    threads: int
    has_gpu: bool

    def __call__(self) -> Callable[[_Asked], list[Prediction]]:
        """Make ready; what comes back answers, in the order of the questions."""
        import torch

        # As many as without Ray: the last bits of a confidence depend on it.
        torch.set_num_threads(self.threads)
        if self.has_gpu:
            self.predictor.bundle.model.to("cuda")
        return self._answer

    def _answer(self, asked: _Asked) -> list[Prediction]:
        questions, clips = asked
        return replace(self.predictor, source=Sent(clips)).answer_batch(questions)


def answer_on_ray(predictor: Predictor, threads: int, settings: RaySettings) -> Answer:
    """Answer with a pool of actors; Ray runs for as long as there is something to answer.

    Raises:
        UserError: no cluster, not enough room on this machine, or an actor dies again and again.
    """
    # The driver's features stay here.
    start = Answerer(replace(predictor, source=Sent({})), threads, settings.answers.gpus_per_actor > 0)

    def packed(portion: Portion) -> _Asked:
        videos = {question.video for question in portion.questions}
        return portion.questions, {name: predictor.source.clip(name) for name in sorted(videos)}

    def answer(portions: Sequence[Portion]) -> Iterator[tuple[Portion, list[Prediction]]]:
        if not portions:
            return
        with ray_session(settings):
            pool = OnRay(settings, "answers", " or answering.batch_questions")
            done = pool.as_done(start, portions, packed)
            shown = track(done, f"answer ({predictor.system})", total=len(portions), unit="batch")
            for number, predictions in shown:
                yield portions[number], predictions

    return answer
