"""What the demo world can show, and the words for it.

An event is one object (class × colour) that does one thing (action). A *query* names one, two or all three of
these attributes. Captions name all three.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal, NamedTuple, get_args

ObjectClass = Literal["ball", "crate", "star", "tree", "car", "fish"]
Colour = Literal["red", "green", "blue", "yellow", "purple", "white"]
Action = Literal["enter", "leave", "cross_right", "cross_left", "grow", "shrink", "bounce", "blink"]

CLASSES: tuple[ObjectClass, ...] = get_args(ObjectClass)
COLOURS: tuple[Colour, ...] = get_args(Colour)
ACTIONS: tuple[Action, ...] = get_args(Action)

# Only the order of the frames tells the two of each pair apart.
ORDER_PAIRS: tuple[tuple[Action, Action], ...] = (
    ("enter", "leave"),
    ("cross_right", "cross_left"),
    ("grow", "shrink"),
)

RGB: dict[Colour, tuple[int, int, int]] = {
    "red": (222, 32, 38),
    "green": (36, 170, 52),
    "blue": (38, 72, 226),
    "yellow": (244, 214, 34),
    "purple": (154, 46, 190),
    "white": (246, 246, 246),
}

VERB: dict[Action, str] = {
    "enter": "enters",
    "leave": "leaves",
    "cross_right": "crosses to the right",
    "cross_left": "crosses to the left",
    "grow": "grows",
    "shrink": "shrinks",
    "bounce": "bounces",
    "blink": "blinks",
}

Attribute = Literal["colour", "class", "action"]


class Triple(NamedTuple):
    """Colour, class and action: all that words can say about one event."""

    colour: Colour
    object_class: ObjectClass
    action: Action


class Query(NamedTuple):
    """A partial description: None where an attribute is left open."""

    colour: Colour | None
    object_class: ObjectClass | None
    action: Action | None

    def matches(self, triple: Triple) -> bool:
        """Whether every attribute the query names agrees with the triple."""
        return all(asked is None or asked == got for asked, got in zip(self, triple, strict=True))

    @property
    def named(self) -> int:
        """How many attributes the query names (1 to 3)."""
        return sum(part is not None for part in self)


def caption(triple: Triple) -> str:
    """The full caption of an event: ``a red ball enters``."""
    return f"a {triple.colour} {triple.object_class} {VERB[triple.action]}"


def noun_phrase(colour: Colour | None, object_class: ObjectClass | None) -> str:
    """``a red ball``, ``a ball``, ``something red`` or ``something``."""
    if object_class is not None:
        return f"a {colour} {object_class}" if colour else f"a {object_class}"
    return f"something {colour}" if colour else "something"


def query_phrase(query: Query) -> str:
    """The query as a clause: ``something red bounces``, ``a ball appears`` where no action is named."""
    verb = VERB[query.action] if query.action else "appears"
    return f"{noun_phrase(query.colour, query.object_class)} {verb}"


def partial_queries(triple: Triple) -> list[Query]:
    """All seven partial descriptions of a triple, fewest attributes first, in a fixed order."""
    queries = []
    for count in (1, 2, 3):
        for kept in combinations(range(3), count):
            parts = [value if index in kept else None for index, value in enumerate(triple)]
            queries.append(Query(*parts))  # type: ignore[arg-type]
    return queries


def near_miss(a: Triple, b: Triple) -> bool:
    """Whether two triples share exactly two of their three attributes."""
    return sum(x == y for x, y in zip(a, b, strict=True)) == 2
