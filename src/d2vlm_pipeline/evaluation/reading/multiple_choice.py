"""Options as the public scripts of MVBench and Video-MME read them (nusnlp/d2vlm, all_benchmark_eval)."""

import re

from d2vlm_pipeline.evaluation.reading.intervals import END

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
_CAPITAL = re.compile("[ABCD]")


def first_capital(text: str) -> str | None:
    """The first capital A to D before the first full stop, known prefixes removed; None without one.

    As videomme/compute_metric_mme.py; its rule for long answers, which only concerns those without a capital,
    changes nothing.
    """
    rest = text.strip()
    for prefix in _PREFIXES:
        rest = rest.replace(prefix, "")
    match = _CAPITAL.search(rest.replace(END, "").split(".")[0])
    return None if match is None else match[0]


def first_word(text: str) -> str:
    """What stands before the first blank, in lower case; '' where the text begins with one.

    As mvbench/compute_metric_mvbench.py.
    """
    return text.replace(END, "").lower().split(" ", 1)[0]


def first_words_agree(answer: str, option: str) -> bool:
    """Whether the first word of an answer, full stops removed, is part of the option's, or holds it.

    As mvbench/compute_metric_mvbench.py: `a.` agrees with `(A) the box`, and so does a blank.
    """
    said, wanted = first_word(answer), first_word(option)
    return said.replace(".", "") in wanted or wanted in said
