"""Ends a run at a moment that was chosen before: inside a run, it counts what the run does and then strikes.

Every file that is opened, renamed, made or removed below the project's folder is an operation. A moment is a
share of the operations, or of the seconds, that a node took in a run that nothing disturbed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

BEFORE, BEHIND = "before the first node", "behind the last node"
_FILES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.scandir"}


@dataclass(frozen=True)
class Strike:
    """When, and at whom.

    Attributes:
        place: the node, or `BEFORE` or `BEHIND`.
        count: the operation or the second of the place, before which it strikes.
        everyone: all processes of the run at once, or its own alone, which leaves the others to notice.
    """

    place: str
    by: Literal["operations", "seconds"]
    count: float
    everyone: bool


class Striker:
    """Hooks that write down where a run is, and end it where a strike is planned."""

    def __init__(self, root: Path, trace: Path, strike: Strike | None) -> None:
        self._root, self._strike = str(root), strike
        self._trace: TextIO = trace.open("a")
        self._place, self._operations, self._start_s = BEFORE, 0, time.monotonic()
        self._struck = threading.Lock()
        self._enter(BEFORE)
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILES and str(arguments[0]).startswith(self._root):
            planned = self._strike
            is_here = planned and planned.place == self._place and planned.by == "operations"
            if planned and is_here and self._operations >= planned.count:
                self.strike(f"operation {self._operations}: {event} {arguments[0]}")
            self._operations += 1

    def _enter(self, place: str) -> None:
        self._say(event="entered", place=place)
        self._place, self._operations, self._start_s = place, 0, time.monotonic()
        planned = self._strike
        if planned and planned.place == place and planned.by == "seconds":
            timer = threading.Timer(planned.count, self.strike, [f"second {planned.count:.3f}"])
            timer.daemon = True
            timer.start()

    def _leave(self) -> None:
        """The place's last operation is done: a strike that has not come yet comes now, still inside it."""
        if self._strike and self._strike.place == self._place:
            self.strike("its end")
        seconds = time.monotonic() - self._start_s
        self._say(event="left", place=self._place, operations=self._operations, seconds=seconds)

    def strike(self, reason: str) -> None:
        """Kill the run, as the kernel does where memory runs out, or a machine that is taken away."""
        import psutil

        if not self._struck.acquire(blocking=False):
            return
        self._say(event="struck", place=self._place, reason=reason)
        if self._strike and self._strike.everyone:
            for child in psutil.Process().children(recursive=True):
                child.kill()
        os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, **record: Any) -> None:
        print(json.dumps(record), file=self._trace, flush=True)

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: Node) -> None:
        self._begin(node)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        self._begin(node)

    @hook_impl(trylast=True)
    def after_node_run(self, node: Node) -> None:
        if not node.outputs:
            self._leave()

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        if dataset_name == node.outputs[-1]:
            self._leave()

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        self._enter(BEHIND)

    def end(self) -> None:
        """The command has returned."""
        self._leave()

    def _begin(self, node: Node) -> None:
        if node.name != self._place:
            if self._place == BEFORE:
                self._leave()
            self._enter(node.name)
