"""How hooks that run in workers tell the run's own process what they noted there."""

from abc import ABC, abstractmethod
from typing import Any


class ReportsBack(ABC):
    """Hooks that gather something over a run.

    Under `RayRunner` hooks travel to the workers with the state that they have when the first node starts,
    and are called there; what they note there comes back after each node, in these two calls. Hooks that
    gather nothing need neither. What cannot travel (threads, open files) is left out by `__getstate__`.
    """

    @abstractmethod
    def report(self) -> Any:
        """What was noted about the one node that ran here; called in the worker, after the node."""

    @abstractmethod
    def take_in(self, report: Any) -> None:
        """Add what a worker noted; called in the run's own process."""
