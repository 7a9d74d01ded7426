"""Processes that tests start, and those that they start in turn."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import psutil


def descendants_until_it_ends(process: subprocess.Popen[Any], look_every_s: float) -> set[psutil.Process]:
    """Wait for a process; every process that was seen below it."""
    children: set[psutil.Process] = set()
    while process.poll() is None:
        try:
            children |= set(psutil.Process(process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            break
        time.sleep(look_every_s)
    return children
