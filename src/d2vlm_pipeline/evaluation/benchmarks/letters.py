"""Which option an answer in free text names, as a careful reader takes it and as public scripts do."""

import re

END = "</evi>"

_BRACKETED = re.compile(r"\(([A-Za-z])\)")
_LEADING = re.compile(r"\s*+([A-Za-z])\s{0,3}+(?:[.):,]|$)")
_STATED = re.compile(r"(?i:answer|option|choice)(?i:\s{1,3}+is)?+:?+\s{0,3}+([A-Z])\b(?!')")

LETTER_RULES = (
    ("bracketed", _BRACKETED.search),
    ("leading", _LEADING.match),
    ("stated", _STATED.search),
)
"""In order; the first that finds a letter decides, whether there is such an option or not."""

_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",  # two of the script's, fused by a comma that is missing there
    "Best answer:",
    "Best option: ",
    "Answer:",
    "Option:",
    "The correct answer",
    "The correct option",
)
_LONG_WORDS = 10
_CAPITAL = re.compile("[ABCD]")


def named_letter(text: str, count: int = 26) -> str | None:
    """The capital letter of the option that the answer half names; None where it names none of `count`."""
    answer = text.rpartition(END)[2].strip() or text.replace(END, " ").strip()
    for _, find in LETTER_RULES:
        if match := find(answer):
            letter = match[1].upper()
            return letter if ord(letter) - ord("A") < count else None
    return None


def first_capital(text: str) -> str | None:
    """The first capital A to D before the first full stop, known prefixes removed.

    As nusnlp/d2vlm, all_benchmark_eval/videomme/compute_metric_mme.py.
    """
    rest = text.strip()
    for prefix in _PREFIXES:
        rest = rest.replace(prefix, "")
    rest = rest.replace(END, "").split(".")[0]
    match = _CAPITAL.search(rest)
    return None if match is None else match[0]


def first_word_agrees(answer: str, truth: str, blank_is_right: bool) -> bool:
    """Whether the first word of one, in lower case, holds that of the other: `(a)` and `a.`.

    As nusnlp/d2vlm, all_benchmark_eval/mvbench/compute_metric_mvbench.py, where a blank, being part of every
    word, is right.
    """
    said = answer.replace(END, "").lower().split(" ")[0]
    option = truth.lower().split(" ")[0]
    if not said.replace(".", ""):
        return blank_is_right
    return said.replace(".", "") in option or option in said
