r"""Numbers in text, found in time linear in its length.

The public scripts look for `(\d+\.*\d*)\s*-\s*(\d+\.*\d*)` and its like. Written so, `re` tries every start
in a run of digits and every split of the rest: cubic in the length of the run. Here each joint (the hyphen,
the word "to", the colon) is found first, with the number behind it, and the number before it is read
backwards, no further than the joint before: every character is looked at a fixed number of times. What is
found is the same, which tests compare on random text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_S = 1e15
"""What a larger number counts as: no time, and sums of such numbers are still finite."""

# Possessive quantifiers keep `re` from trying other splits, none of which could match where this one fails.
NUMBER = r"\d++\.*+\d*+"

SHORT = 2048
"""Characters up to which trying every start, which costs the square, is cheaper than the scan."""

HYPHENED = re.compile(rf"({NUMBER})\s*+-\s*+({NUMBER})")
TO_BETWEEN = re.compile(rf"({NUMBER})\s* to \s*+({NUMBER})")

HYPHEN = re.compile(rf"-\s*+({NUMBER})")
TO = re.compile(rf" to \s*+({NUMBER})")
COLON = re.compile(rf":({NUMBER})")

_DIGITS = "0123456789"
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


class Joined(NamedTuple):
    """Two numbers with a joint between them, and where in the text they stand."""

    start: int
    end: int
    left: str
    right: str


def plain_digits(text: str) -> str:
    """The text with the decimal digits of every script as 0-9, each character in its place."""
    return text if text.isascii() else _OTHER_DIGIT.sub(lambda match: str(int(match[0])), text)


def joined_numbers(text: str, joint: re.Pattern[str], spaced: bool = True) -> Iterator[Joined]:
    r"""What `finditer` of `(\d+\.*\d*)\s*` and the joint would find, leftmost first, none overlapping.

    Args:
        text: with `plain_digits`.
        joint: ends with a number in group 1.
        spaced: whether white space may stand between the left number and the joint.
    """
    floor = 0  # nothing left of it can belong to this match: the last match, or the last joint tried
    for match in joint.finditer(text):
        left = text[floor : match.start()]
        left = left.rstrip() if spaced else left
        start = _number_at_end(left)
        if start is None:
            floor = match.start() + 1
        else:
            yield Joined(floor + start, match.end(), left[start:], match[1])
            floor = match.end()


def hyphened_numbers(text: str) -> list[Joined]:
    """Numbers joined by hyphens, found the quicker way that the length of the text allows."""
    if len(text) > SHORT:
        return list(joined_numbers(text, HYPHEN))
    return [Joined(match.start(), match.end(), match[1], match[2]) for match in HYPHENED.finditer(text)]


def seconds(number: str) -> float | None:
    """A number in digits and dots as seconds, at most `LONGEST_S`; None for `1..5`."""
    try:
        return min(float(number), LONGEST_S)
    except ValueError:
        return None


def _number_at_end(text: str) -> int | None:
    r"""Where the longest `\d+\.*\d*` that ends the text begins."""
    digits = text.rstrip(_DIGITS)
    dots = digits.rstrip(".")
    whole = dots.rstrip(_DIGITS)
    if len(whole) < len(dots):  # digits before dots
        return len(whole)
    return len(digits) if len(digits) < len(text) else None
