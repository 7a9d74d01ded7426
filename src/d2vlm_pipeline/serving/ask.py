"""One question about one video file, answered by the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.orchestration.project import find_project, tracking_config
from d2vlm_pipeline.timeline import Prediction, Question

if TYPE_CHECKING:
    from d2vlm_pipeline.evaluation.predictor import Predictor


def champion_predictor(root: Path, env: str) -> Predictor:
    """The champion of an environment, ready to answer about videos by their paths; `ref` says which it is.

    Raises:
        UserError: no champion yet or none that can be trusted, or a registry that cannot be reached.
    """
    from d2vlm_pipeline.orchestration.registry_settings import project_keyring
    from d2vlm_pipeline.registry import resolve_champion
    from d2vlm_pipeline.registry.opening import model_ref, open_predictor
    from d2vlm_pipeline.registry.reach import store_told

    tracking = tracking_config(root, env)
    with store_told(tracking):
        champion = resolve_champion(tracking, keyring=project_keyring(root, env))
    return open_predictor(champion.path, model_ref(champion))


def ask(video: Path, question: str, env: str) -> Prediction:
    """Answer with the champion of an environment.

    Raises:
        UserError: no champion yet or none that can be trusted, a registry that cannot be reached, or a file
            that is no video that can be decoded.
    """
    from d2vlm_pipeline.video.source import video_error

    if not video.is_file():
        raise video_error("missing", video, "there is no such file")
    predictor = champion_predictor(find_project(), env)
    return predictor.answer_batch([Question(video=str(video.resolve()), question=question)])[0]
