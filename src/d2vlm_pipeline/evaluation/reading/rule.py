"""What a rule of reading is: looked up in order, shown in the documentation, tried on any text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Span = tuple[float, float]
"""Start and end in seconds."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Rule(Generic[Found]):
    """One way to read a text.

    Attributes:
        looks_for: the pattern, in the notation of `re` or in words.
        yields: what it makes of it.
        read: None where it does not apply, so that the next rule is tried. An empty result is final: what
            stands there cannot be read.
    """

    name: str
    looks_for: str
    yields: str
    read: Callable[[str], Found | None] = field(repr=False)


def first_that_applies(rules: Sequence[Rule[Found]], text: str) -> Found | None:
    """What the first rule that applies makes of the text."""
    for rule in rules:
        found = rule.read(text)
        if found is not None:
            return found
    return None
