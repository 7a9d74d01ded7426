"""Portions of work on Ray: a pool of actors, each with what the work needs in its memory.

The adapter of `artifacts.spreading.Spread`, and what every pool shares: room, actors that are started again,
at most one portion waiting behind the one that an actor works on, and errors of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from d2vlm_pipeline.artifacts import UserError, seed_process, seed_with_torch
from d2vlm_pipeline.artifacts.spreading import OverProcesses, Spread, spread_here
from d2vlm_pipeline.orchestration.ray_session import check_room, ray_session
from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings

if TYPE_CHECKING:
    from ray import ObjectRef

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

PoolName = Literal["answers", "preferences", "scoring"]
_DOES = {"answers": "answers", "preferences": "makes or checks pairs", "scoring": "scores"}

_LEAST_RECORDS = 20_000
"""With fewer samples, pairs or predictions, processes take longer to start than the work does."""


class PoolActor:
    """Does one portion after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started: ObjectRef | None = None
        self._work: Callable[[Any], Any] | None = None

    def do(self, start: list[ObjectRef], number: int, portion: Any) -> Any:
        """The result of a portion; what libraries draw depends on its number, not on who does it.

        `start`, in a list so that Ray does not fetch it each time, makes the work; it is called once.
        """
        import ray

        (reference,) = start
        if self._work is None or reference != self._started:
            self._work, self._started = ray.get(reference)(), reference
        seed = seed_process if self._name == "preferences" else seed_with_torch
        seed(0, self._name, number)
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


class OnRay:
    """Spreads work over the actors of a pool, which start with the first portion; Ray is up.

    Args:
        settings: where Ray runs, and how large the pool is.
        name: of the pool.
        lower: what else to lower where memory is short, beside the number of actors.
    """

    def __init__(self, settings: RaySettings, name: PoolName, lower: str = "") -> None:
        self._settings, self._name, self._lower = settings, name, lower
        self._actors: list[Any] = []

    def __call__(
        self, work: Callable[[_Item], _Result], portions: Sequence[_Item]
    ) -> Iterator[_Result]:
        """Results in the order of the portions; what is done early waits here.

        Raises:
            UserError: not enough room on this machine, an actor dies again and again, or the work raises it.
        """
        early: dict[int, _Result] = {}
        done = self.as_done(partial(_itself, work), portions)
        for number in range(len(portions)):
            while number not in early:
                finished, result = next(done)
                early[finished] = result
            yield early.pop(number)

    def as_done(
        self,
        start: Callable[[], Callable[[Any], _Result]],
        portions: Sequence[_Item],
        packed: Callable[[_Item], Any] = lambda portion: portion,
    ) -> Iterator[tuple[int, _Result]]:
        """(number of the portion, its result) in any order.

        Args:
            start: makes the work of an actor, there.
            portions: what is to be done.
            packed: what travels of a portion, made when an actor is about to be free.

        Raises:
            UserError: as above.
        """
        from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

        if not portions:
            return
        pool, key = self._pool(), f"ray.{self._name}.actors"
        cpus, gpus = pool.actors * pool.cpus_per_actor, pool.actors * pool.gpus_per_actor
        check_room(self._settings, f"ray.{self._name}", key, cpus, gpus)
        try:
            yield from _spread(start, portions, packed, self._at_least(len(portions)))
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from error
            raise
        except (RayActorError, OutOfMemoryError) as error:
            raise UserError(
                f"an actor that {_DOES[self._name]} died more than {pool.retries} times, perhaps for want of "
                f"memory; lower {key}{self._lower}"
            ) from error

    def _pool(self) -> RayPool:
        given = self._settings
        pools = {"answers": given.answers, "preferences": given.preferences, "scoring": given.scoring}
        return pools[self._name]

    def _at_least(self, portions: int) -> list[Any]:
        """The pool's actors, as many of them as there are portions: more would only be started."""
        import ray

        pool, actor = self._pool(), cast(Any, ray.remote(PoolActor))
        made = actor.options(
            num_cpus=pool.cpus_per_actor,
            num_gpus=pool.gpus_per_actor,
            max_restarts=pool.retries,
            max_task_retries=pool.retries,
        )
        for _ in range(min(pool.actors, portions) - len(self._actors)):
            self._actors.append(made.remote(self._name))
        return self._actors


def _itself(work: Callable[[_Item], _Result]) -> Callable[[_Item], _Result]:
    return work


def _spread(
    start: Callable[[], Any],
    portions: Sequence[_Item],
    packed: Callable[[_Item], Any],
    actors: Sequence[Any],
) -> Iterator[tuple[int, Any]]:
    """Portions as they are done; each actor has two at a time, one to work on and one to go on with."""
    import ray

    # One copy in the object store for all, and for actors that are started again: it is held until the end.
    sent = [ray.put(start)]
    waiting = iter(enumerate(portions))
    running: dict[Any, tuple[int, Any]] = {}

    def hand(actor: Any, number: int, portion: _Item) -> None:
        running[actor.do.remote(sent, number, packed(portion))] = (number, actor)

    for actor, (number, portion) in zip(islice(cycle(actors), 2 * len(actors)), waiting, strict=False):
        hand(actor, number, portion)
    while running:
        (finished,), _ = ray.wait(list(running), num_returns=1)
        number, actor = running.pop(finished)
        result = ray.get(finished)
        if (following := next(waiting, None)) is not None:
            hand(actor, *following)
        yield number, result
