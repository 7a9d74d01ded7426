"""Work that tests hand out: importable, since it goes to other processes."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from d2vlm_pipeline.artifacts import UserError


def squared(portion: Sequence[int]) -> list[int]:
    return [number * number for number in portion]


def drawn(portion: Sequence[int]) -> float:
    """What a library would draw that asks nobody."""
    return random.random()


def refuses(portion: Sequence[int]) -> list[int]:
    if 5 in portion:
        raise UserError("five.csv:5: no such number; drop the row")
    return list(portion)


def dies(portion: Sequence[int]) -> list[int]:
    if 5 in portion:
        os._exit(9)
    return list(portion)


def backwards(work: Callable[[Any], Any], portions: Sequence[Any]) -> Iterator[Any]:
    """A spread that does the last portion first."""
    return reversed([work(portion) for portion in reversed(portions)])
