"""Portions of work on Ray: a pool of actors, each with what the work needs in its memory.

The adapter of `artifacts.spreading.Spread`, and what every pool shares: room, actors that are started again,
at most one portion waiting behind the one that an actor works on, and errors of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any, Generic, Literal, TypeVar

from d2vlm_pipeline.artifacts import UserError, seed_process
from d2vlm_pipeline.artifacts.spreading import OverProcesses, Spread, spread_here
from d2vlm_pipeline.orchestration.ray_session import check_room, ray_session
from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

PoolName = Literal["answers", "preferences", "scoring"]
_DOES = {"answers": "answers", "preferences": "makes or checks pairs", "scoring": "scores"}

_LEAST_RECORDS = 20_000
"""With fewer samples, pairs or predictions, processes take longer to start than the work does."""


class PoolActor(Generic[_Item, _Result]):
    """Does one portion after the other."""

    def __init__(self, start: Callable[[], Callable[[_Item], _Result]], name: str) -> None:
        self._name = name
        self._work = start()

    def do(self, number: int, portion: _Item) -> _Result:
        """The result of a portion; what libraries draw depends on its number, not on who does it."""
        seed_process(0, self._name, number, with_torch=self._name != "preferences")
        return self._work(portion)


@contextmanager
def spreading(settings: RaySettings, name: PoolName, processes: int, records: int) -> Iterator[Spread]:
    """Who does portions of work: actors on Ray, which runs for as long as the block, or this machine.

    Args:
        settings: whether on Ray, and how large the pool is.
        name: of the pool.
        processes: of this machine, where there is enough to do for them to pay.
        records: how much there is to do.

    Raises:
        UserError: there is no cluster.
    """
    if not settings.enabled:
        yield OverProcesses(processes) if records >= _LEAST_RECORDS else spread_here
        return
    with ray_session(settings):
        yield OnRay(settings, name)


@dataclass(frozen=True)
class OnRay:
    """Spreads work over the actors of a pool; Ray is up."""

    settings: RaySettings
    name: PoolName

    def __call__(
        self, work: Callable[[_Item], _Result], portions: Sequence[_Item]
    ) -> Iterator[_Result]:
        """Results in the order of the portions.

        Raises:
            UserError: not enough room on this machine, an actor dies again and again, or the work raises it.
        """
        early: dict[int, _Result] = {}
        done = spread_on_ray(self.settings, self.name, partial(_itself, work), portions)
        for number in range(len(portions)):
            while number not in early:
                finished, result = next(done)
                early[finished] = result
            yield early.pop(number)


def spread_on_ray(
    settings: RaySettings,
    name: PoolName,
    start: Callable[[], Callable[[Any], _Result]],
    portions: Sequence[_Item],
    packed: Callable[[_Item], Any] = lambda portion: portion,
    lower: str = "",
) -> Iterator[tuple[int, _Result]]:
    """(number of the portion, its result) as portions are done, in any order; Ray is up.

    Args:
        settings: where Ray runs, and how large the pool is.
        name: of the pool.
        start: makes the work of an actor, there.
        portions: what is to be done.
        packed: what travels of a portion, made when an actor is about to be free.
        lower: what else to lower where memory is short, beside the number of actors.

    Raises:
        UserError: not enough room on this machine, an actor dies again and again, or the work raises it.
    """
    from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

    pools = {"answers": settings.answers, "preferences": settings.preferences, "scoring": settings.scoring}
    pool, key = pools[name], f"ray.{name}.actors"
    cpus, gpus = pool.actors * pool.cpus_per_actor, pool.actors * pool.gpus_per_actor
    check_room(settings, f"ray.{name}", key, cpus, gpus)
    try:
        # More actors than portions would only be started.
        actors = _actors(start, name, pool, min(pool.actors, len(portions)))
        yield from _spread(portions, packed, actors)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from error
        raise
    except (RayActorError, OutOfMemoryError) as error:
        raise UserError(
            f"an actor that {_DOES[name]} died more than {pool.retries} times, perhaps for want of memory; "
            f"lower {key}{lower}"
        ) from error


def _itself(work: Callable[[_Item], _Result]) -> Callable[[_Item], _Result]:
    return work


def _actors(start: Callable[[], Any], name: str, pool: RayPool, count: int) -> list[Any]:
    import ray

    sent = ray.put(start)  # one copy in the object store for all
    actor: Any = ray.remote(PoolActor)
    made = actor.options(
        num_cpus=pool.cpus_per_actor,
        num_gpus=pool.gpus_per_actor,
        max_restarts=pool.retries,
        max_task_retries=pool.retries,
    )
    return [made.remote(sent, name) for _ in range(count)]


def _spread(
    portions: Sequence[_Item], packed: Callable[[_Item], Any], actors: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """Portions as they are done; each actor has two at a time, one to work on and one to go on with."""
    import ray

    waiting = iter(enumerate(portions))
    running: dict[Any, tuple[int, Any]] = {}

    def hand(actor: Any, number: int, portion: _Item) -> None:
        running[actor.do.remote(number, packed(portion))] = (number, actor)

    for actor, (number, portion) in zip(islice(cycle(actors), 2 * len(actors)), waiting, strict=False):
        hand(actor, number, portion)
    while running:
        (finished,), _ = ray.wait(list(running), num_returns=1)
        number, actor = running.pop(finished)
        result = ray.get(finished)
        if (following := next(waiting, None)) is not None:
            hand(actor, *following)
        yield number, result
