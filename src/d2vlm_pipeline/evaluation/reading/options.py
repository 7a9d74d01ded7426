r"""Options as answers name them.

Our own answers are read by `OPTION_LETTERS`; free answers of other models by `CAREFUL_LETTERS`, the same
rules behind one more, and by the option's own words. The public scripts (nusnlp/d2vlm,
all_benchmark_eval/etbench) have two rules and then guess by similarity.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from d2vlm_pipeline.evaluation.reading.careful import halves, placed_intervals
from d2vlm_pipeline.evaluation.reading.rule import Rule, first_that_applies

Option = str | tuple[float, float]
"""Words, or an interval in seconds."""

BEYOND = -1
"""Index of a letter behind the last option."""

_BRACKETED = re.compile(r"\(([A-Za-z])\)")
_LEADING = re.compile(r"\A\s*([A-Za-z])\s*(?:[.):,]|$)")
_SAID = re.compile(
    r"\b(?:answer|options?|choice)\s{0,3}+(?:is|are)?\s{0,3}+:?\s{0,3}+(?:options?\s{0,3}+)?+"
    r"\(?([A-Za-z])(?=\s{0,3}(?:[.):,;]|$))",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W_]+")
_BEST_OPTION = "best option:"
_BEHIND_LETTER = (".", ",", " ", ")")
_NEAR_S = 0.051  # times are written with one decimal


def _letter(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def read(text: str) -> str | None:
        match = pattern.search(text)
        return None if match is None else match[1]

    return read


_SAID_RULE = Rule("said", "answer, option or choice, 'is' or ':', a letter by itself", "it", _letter(_SAID))
OPTION_LETTERS: tuple[Rule[str], ...] = (
    Rule("bracketed", r"\(([A-Za-z])\)", "the first, wherever it stands", _letter(_BRACKETED)),
    Rule("leading", r"^\s*([A-Za-z])\s*(?:[.):,]|$)", "a letter that begins the answer", _letter(_LEADING)),
)
"""A letter behind the last option is an answer, and a wrong one."""
CAREFUL_LETTERS: tuple[Rule[str], ...] = (_SAID_RULE, *OPTION_LETTERS)


def lettered(rules: Sequence[Rule[str]], text: str, count: int) -> int | None:
    """Index of the option whose letter the first rule to apply finds; None without one of the `count`."""
    letter = first_that_applies(rules, text)
    index = BEYOND if letter is None else index_of(letter, count)
    return None if index == BEYOND else index


def careful_option(text: str, options: Sequence[Option], duration_s: float | None = None) -> int | None:
    """Index of the option that the answer names by letter or, without a letter, by its words or its times."""
    _, answer = halves(text)
    if first_that_applies(CAREFUL_LETTERS, answer) is not None:
        return lettered(CAREFUL_LETTERS, answer, len(options))
    named = [index for index, option in enumerate(options) if _names(answer, option, duration_s)]
    # `a dog` is named with `a dog runs`: the longest counts, if there is one.
    longest = [i for i in named if all(i == j or _within(options[j], options[i]) for j in named)]
    return longest[0] if len(longest) == 1 else None


class Trail(NamedTuple):
    """What the public scripts find in an answer about options.

    Attributes:
        letters: indices in the order found, `BEYOND` for a letter behind the last option.
        rest: what they compare with the options where letters do not decide; '' counts as failed.
    """

    letters: tuple[int, ...]
    rest: str


def bracket_or_first(text: str, count: int) -> Trail:
    """The first `(X)`, then the first character where `.`, `,`, `)` or a blank follows; in lower case."""
    bracketed = _BRACKETED.search(text)
    first = first_character(text.lower(), count)
    found = () if bracketed is None else (index_of(bracketed[1], count),)
    return Trail((*found, *first.letters), first.rest)


def first_character(text: str, count: int) -> Trail:
    """The first character behind 'best option:' and '(', where `.`, `,`, `)`, a blank or nothing follows."""
    text = text[len(_BEST_OPTION) :] if text.lower().startswith(_BEST_OPTION) else text
    rest = text.lstrip().lstrip("(").lstrip()
    stands_alone = len(rest) == 1 or rest[1:2] in _BEHIND_LETTER
    return Trail((index_of(rest[0], count),) if stands_alone else (), rest)


def index_of(letter: str, count: int) -> int:
    """Index of an option's letter, `BEYOND` for any other character."""
    index = ord(letter.lower()) - ord("a") if letter.isascii() and letter.isalpha() else BEYOND
    return index if index < count else BEYOND


def _names(answer: str, option: Option, duration_s: float | None) -> bool:
    if isinstance(option, str):
        words = _words(option)
        return bool(words.strip()) and words in _words(answer)
    return any(
        abs(place.span[0] - option[0]) < _NEAR_S and abs(place.span[1] - option[1]) < _NEAR_S
        for place in placed_intervals(answer, duration_s)
    )


def _within(option: Option, longer: Option) -> bool:
    return isinstance(option, str) and isinstance(longer, str) and _words(option) in _words(longer)


def _words(text: str) -> str:
    """Words alone, in lower case, with a blank on either side of each."""
    return f" {' '.join(_WORDS.findall(text.casefold()))} "
