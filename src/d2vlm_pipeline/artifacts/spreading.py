"""Work in portions, done here or by several processes: same results in the same order, whoever does it.

A function of one portion is all that is asked of the science; Ray's actors take the place of the processes
here without its knowing (`orchestration.ray_pool`). Portions are drawn from the work alone, never from the
number of workers, and the generators that libraries draw from are seeded by a portion's number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol, TypeVar

from d2vlm_pipeline.artifacts.errors import UserError
from d2vlm_pipeline.artifacts.seeds import seed_process

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Spread(Protocol):
    """Somebody who does portions of work."""

    def __call__(
        self, work: Callable[[_Item], _Result], portions: Sequence[_Item]
    ) -> Iterator[_Result]:
        """Results in the order of the portions; `work` and portions may travel to other processes.

        Raises:
            UserError: whoever does the work dies again and again; or what the work itself raises.
        """
        ...


def spread_here(work: Callable[[_Item], _Result], portions: Sequence[_Item]) -> Iterator[_Result]:
    """Do the portions in this process, each when its result is asked for."""
    return map(work, portions)


@dataclass(frozen=True)
class OverProcesses:
    """Spreads work over so many processes of this machine; a new one takes a second or two to start."""

    processes: int

    def __call__(
        self, work: Callable[[_Item], _Result], portions: Sequence[_Item]
    ) -> Iterator[_Result]:
        """See `Spread`."""
        processes = min(self.processes, len(portions))
        if processes < 2:
            yield from spread_here(work, portions)
            return
        spawn = get_context("spawn")
        with ProcessPoolExecutor(processes, spawn, _start, (work,)) as executor:
            try:
                yield from executor.map(_do, range(len(portions)), portions)
            except BrokenProcessPool as error:
                raise UserError(
                    "a process that does a portion of the work died, perhaps for want of memory; lower "
                    "compute.workers"
                ) from error
            finally:
                executor.shutdown(cancel_futures=True)


def portions_of(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """The items in their order, `size` at a time."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def end_with_parent() -> None:
    """End this process when its parent ends.

    A killed parent cannot stop its processes: without this they would wait for work for ever.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


_work: Callable[[Any], Any] | None = None


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    end_with_parent()
    _work = work


def _do(number: int, portion: Any) -> Any:
    if _work is None:
        raise RuntimeError("a process was given work before it was started")
    seed_process(0, "portion", number)
    return _work(portion)
