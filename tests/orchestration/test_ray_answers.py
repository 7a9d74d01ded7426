"""Answers on Ray: the same bytes for any number of actors, and what a dead one costs."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.answering import AnswerStream, answer_here
from d2vlm_pipeline.orchestration.ray_answers import answer_on_ray
from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings
from d2vlm_pipeline.timeline import Prediction, dump_jsonl
from evaluation.test_answering import KnownShelf, neighbours
from evaluation.test_predictor import predictor


def settings(**answers: int | float) -> RaySettings:
    return RaySettings(enabled=True, answers=RayPool.model_validate(answers))


def stream(ray: RaySettings | None) -> AnswerStream:
    """Answers in eight portions, in this process or on Ray."""
    asking = predictor(KnownShelf(), batch_questions=2)
    answer = answer_on_ray(asking, 1, ray) if ray else answer_here(asking, 1)
    return AnswerStream.of(AnswerRecord.of(asking, "real", 1), neighbours(), KnownShelf().identity, answer)


@pytest.fixture(scope="module")
def plain() -> str:
    return dump_jsonl(stream(None))


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.usefixtures("ray_here")
def test_any_number_of_actors_gives_the_bytes_of_this_process(plain: str, tmp_path: Path) -> None:
    for actors in (1, 2):
        on_ray = stream(settings(actors=actors, cpus_per_actor=0.5))
        assert dump_jsonl(on_ray.resumed(tmp_path / f"{actors}.jsonl")) == plain
    # What one way has answered the other goes on with.
    assert dump_jsonl(stream(None).resumed(tmp_path / "2.jsonl")) == plain


def next_after_kill(answers: Iterator[Prediction]) -> list[Prediction]:
    """The first answer; then an actor dies without a chance to tidy up; then the rest."""
    first = next(answers)
    actors = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ray::PoolActor" in " ".join(process.info["cmdline"] or [])
    ]
    actors[0].kill()
    return [first, *answers]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_is_killed_costs_a_retry(plain: str) -> None:
    assert dump_jsonl(next_after_kill(iter(stream(settings())))) == plain


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_keeps_dying_is_one_line() -> None:
    said = r"an actor that answers died more than 0 times, .*; lower ray\.answers\.actors"
    with pytest.raises(UserError, match=said) as error:
        next_after_kill(iter(stream(settings(retries=0))))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_pool_that_does_not_fit_on_this_machine_is_refused() -> None:
    said = r"ray\.answers asks for 40 CPUs, and Ray has 4 here; lower ray\.answers\.actors"
    with pytest.raises(UserError, match=said):
        list(stream(settings(actors=40)))


def test_nothing_to_answer_starts_no_ray() -> None:
    assert list(answer_on_ray(predictor(KnownShelf()), 1, settings())([])) == []
