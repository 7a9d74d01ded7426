"""Curves of a phase in MLflow while it trains, without ever making it wait, or end, for MLflow's sake."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Self

from d2vlm_pipeline.tracking.config import TrackingConfig
from d2vlm_pipeline.tracking.log import log_curves

_LOG = logging.getLogger(__name__)
# Between attempts to log points that MLflow did not take.
_RETRY_S = 2.0


@dataclass(frozen=True)
class CurveTarget:
    """Whose curve it is; plain values, which other processes take as they are.

    Attributes:
        tracking: The store.
        run_id: The run, named explicitly: workers have no run of their own.
        prefix: Of the metrics' names, the phase's.
        first_step: Steps that came before this curve's first, where several phases make one curve.
    """

    tracking: TrackingConfig
    run_id: str
    prefix: str
    first_step: int = 0

    def behind(self, steps: int) -> CurveTarget:
        """The same curve, going on behind so many steps."""
        return replace(self, first_step=self.first_step + steps)


_TARGET: ContextVar[CurveTarget | None] = ContextVar("curve target", default=None)


def show_curves(target: CurveTarget | None) -> None:
    """From here on, a phase that trains in this thread shows its curve there; with None, nowhere."""
    _TARGET.set(target)


def curve_target() -> CurveTarget | None:
    """Where the curve of a phase in this thread goes; None where nobody watches."""
    return _TARGET.get()


class LiveCurve:
    """Logs points as they come, from a thread of its own; a context, at whose end the last ones are logged.

    What MLflow does not take is kept and tried again; what it has not taken in the end is counted and said.
    Points that the run has already are left out, so that whoever logs the whole curve later adds what is
    missing, and a phase that starts again from a checkpoint logs nothing twice.
    """

    def __init__(self, target: CurveTarget, last_wait_s: float = 10.0) -> None:
        """Nothing is sent before the first point.

        Args:
            target: where to.
            last_wait_s: how long the end of the phase may wait for MLflow.
        """
        self._target, self._last_wait_s = target, last_wait_s
        self._points: SimpleQueue[Mapping[str, float] | None] = SimpleQueue()
        self._waiting: list[Mapping[str, float]] = []
        self._ends_s: float | None = None
        self._has_warned = False
        # It must not keep the process alive while a server does not answer.
        self._thread = threading.Thread(target=self._send_all, name="live curve", daemon=True)
        self._given = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends_s = time.monotonic() + self._last_wait_s
        self._points.put(None)
        self._thread.join(self._last_wait_s + _RETRY_S)
        if lost := self._points.qsize() + len(self._waiting):
            _LOG.warning(
                "%s: MLflow has not taken %d of %d points of the curve; the saved curve has them all",
                self._target.prefix,
                lost,
                self._given,
            )

    def __call__(self, point: Mapping[str, float]) -> None:
        """Take a point; returns at once."""
        self._given += 1
        self._points.put({**point, "step": point["step"] + self._target.first_step})

    def _send_all(self) -> None:
        while (point := self._points.get()) is not None:
            self._waiting.append(point)
            self._send()
        while self._waiting and not self._send() and time.monotonic() < (self._ends_s or 0.0):
            time.sleep(_RETRY_S)

    def _send(self) -> bool:
        """Whether MLflow has taken everything that waits."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        target = self._target
        try:
            log_curves(target.tracking, target.run_id, self._waiting, target.prefix)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if not self._has_warned:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                _LOG.warning("%s: MLflow takes no points now (%s); trying again", target.prefix, reason)
            self._has_warned = True
            return False
        self._waiting.clear()
        return True
