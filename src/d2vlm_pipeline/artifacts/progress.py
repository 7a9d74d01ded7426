"""Progress that reads well on a terminal and in a log file."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

_Item = TypeVar("_Item")
_LOG_EVERY_S = 15.0
_LOG_STEPS = 10

logger = logging.getLogger(__name__)


def track(
    iterable: Iterable[_Item], description: str, total: int | None = None, unit: str = "it"
) -> Iterator[_Item]:
    """Yield from `iterable` and report progress: a bar on a terminal, otherwise log lines.

    Log lines come at about every tenth of the way and at least every 15 s, plus one at the end, so that a
    long step leaves some ten lines and a silent one is noticed.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(iterable, desc=description, total=total, unit=unit, dynamic_ncols=True)
    else:
        yield from _logged(iterable, description, total, unit)


def _logged(iterable: Iterable[_Item], description: str, total: int | None, unit: str) -> Iterator[_Item]:
    start_s = last_s = time.monotonic()
    done = last_tenth = 0
    for item in iterable:
        yield item
        done += 1
        now_s = time.monotonic()
        tenth = done * _LOG_STEPS // total if total else 0
        if done != total and (tenth > last_tenth or now_s - last_s >= _LOG_EVERY_S):
            logger.info(_line(description, done, total, unit, now_s - start_s))
            last_s, last_tenth = now_s, tenth
    logger.info("%s, done", _line(description, done, total, unit, time.monotonic() - start_s))


def _line(description: str, done: int, total: int | None, unit: str, elapsed_s: float) -> str:
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    share = f"/{total} {unit} ({100 * done // total} %)" if total else f" {unit}"
    left = f", {(total - done) / rate:.0f} s left" if total and rate > 0 and done < total else ""
    return f"{description}: {done}{share}, {elapsed_s:.0f} s, {rate:.3g} {unit}/s{left}"
