"""Which option: rar, eca, rvq, and gvq with the interval that proves it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.etbench.figures import Figure, Part, mean_of
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Item
from d2vlm_pipeline.evaluation.benchmarks.etbench.located import first_interval_figures
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ETBenchRules
from d2vlm_pipeline.evaluation.benchmarks.etbench.said import END, intervals_of, scores_evidence
from d2vlm_pipeline.evaluation.contributions import Embed
from d2vlm_pipeline.evaluation.reading import Trail, bracket_or_first, careful_option, first_character

_BARELY = 1e-7


@dataclass(frozen=True)
class Choice:
    """An answer about options, judged.

    Attributes:
        named: a letter (or, to a careful reader, words) named an option.
        failed: what the scripts count as failed.
    """

    right: bool
    named: bool
    failed: bool


def chosen_part(task: str, source: str, items: Sequence[Item], rules: ETBenchRules, embed: Embed) -> Part:
    """rar, eca, rvq: `Acc`."""
    choices = choose(items, rules, embed, grounded=False)
    return Part(
        task=task,
        source=source,
        items=tuple(items),
        figures=(mean_of("Acc", [choice.right for choice in choices]),),
        read=tuple(choice.named for choice in choices),
        said=((),) * len(items),
        failed=sum(choice.failed for choice in choices),
        extras=_named(choices, "Matched_count", "matched_ratio", "", "correct_ratio_within_matched")
        if rules.choosing == "d2vlm"
        else {},
    )


def grounded_part(task: str, source: str, items: Sequence[Item], rules: ETBenchRules, embed: Embed) -> Part:
    """gvq: `Acc`, and `mIoU`, `R@τ`, `mRec` of the first interval."""
    choices = choose(items, rules, embed, grounded=True)
    said = [intervals_of(item, rules, borrows=False) for item in items]
    judged = [choice.right or not rules.right_option_first for choice in choices]
    spans = [
        (one.answer[:1] if counts else (), one.evidence[:1] if counts and one.answer else ())
        for one, counts in zip(said, judged, strict=True)
    ]
    figures = first_interval_figures(items, spans, rules, ("R", "mRec"), scores_evidence(items, rules))
    figures.append(mean_of("Acc", [choice.right for choice in choices]))
    if not rules.right_option_first:
        figures += _jointly(figures, choices)
    unread = [counts and not one.answer for one, counts in zip(said, judged, strict=True)]
    return Part(
        task=task,
        source=source,
        items=tuple(items),
        figures=tuple(figures),
        read=tuple(choice.named and bool(one.answer) for choice, one in zip(choices, said, strict=True)),
        said=tuple(one.answer for one in said),
        failed=sum(choice.failed for choice in choices) + sum(unread),
        extras=_named(
            choices,
            "Matched count",
            "Matched ratio",
            "correct count within matched",
            "correct ratio within matched",
        )
        if rules.choosing == "d2vlm"
        else {},
    )


def choose(items: Sequence[Item], rules: ETBenchRules, embed: Embed, grounded: bool) -> list[Choice]:
    """Each answer judged; `grounded` answers name their option at the start alone."""
    if rules.choosing == "careful":
        found = [careful_option(item.answer or "", item.options, item.duration_s) for item in items]
        return [
            Choice(index is not None and index == item.right, index is not None, index is None)
            for item, index in zip(items, found, strict=True)
        ]
    trails = [_trail(item, rules, grounded) for item in items]
    nearest = _nearest(items, trails, [_decided(trail, rules, grounded) is None for trail in trails], embed)
    return [
        _judged(item, trail, guess, rules, grounded)
        for item, trail, guess in zip(items, trails, nearest, strict=True)
    ]


def _trail(item: Item, rules: ETBenchRules, grounded: bool) -> Trail:
    text, count = item.answer or "", len(item.options)
    if rules.choosing == "d2vlm":
        text = text.split(END)[-1]
        return first_character(text if grounded else text.lower(), count)
    return first_character(text, count) if grounded else bracket_or_first(text, count)


def _decided(trail: Trail, rules: ETBenchRules, grounded: bool) -> int | None:
    """The letter that is final, where the rules know such a thing."""
    if rules.choosing == "original" and not grounded:
        return None
    return next((index for index in trail.letters if index >= 0), None)


def _judged(item: Item, trail: Trail, guess: int | None, rules: ETBenchRules, grounded: bool) -> Choice:
    decided = _decided(trail, rules, grounded)
    if decided is not None:
        return Choice(decided == item.right, named=True, failed=False)
    if rules.choosing == "original" and item.right in trail.letters:
        return Choice(right=True, named=True, failed=False)
    if not trail.rest:
        return Choice(right=False, named=False, failed=True)
    # A letter behind the last option counts as found with all but the authors' script.
    matched = bool(trail.letters) and rules.choosing != "d2vlm"
    return Choice(guess == item.right, named=matched, failed=not matched and not grounded)


def _nearest(
    items: Sequence[Item], trails: Sequence[Trail], wanted: Sequence[bool], embed: Embed
) -> list[int | None]:
    """The option most similar to each answer that no letter decides, the first of equals."""
    open_ = [
        (place, trail.rest, [f"({chr(ord('A') + k)}) {text}" for k, text in enumerate(item.option_texts)])
        for place, (item, trail, wants) in enumerate(zip(items, trails, wanted, strict=True))
        if wants and trail.rest and item.right not in trail.letters
    ]
    texts = sorted({text for _, rest, options in open_ for text in (rest, *options)})
    vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    nearest: list[int | None] = [None] * len(items)
    for place, rest, options in open_:
        nearest[place] = int(np.argmax([float(vectors[rest] @ vectors[option]) for option in options]))
    return nearest


def _jointly(figures: Sequence[Figure], choices: Sequence[Choice]) -> list[Figure]:
    """The located shares again, of questions whose option is right too: `R_joint@τ`, `mRec_joint`."""
    right_R = np.array([choice.right for choice in choices], dtype=np.float64)
    return [
        mean_of(name, figure.stats_RS[:, 0] * right_R)
        for figure in figures
        if (name := _JOINT.get(figure.name)) is not None
    ]


_JOINT = {f"R@{level}": f"R_joint@{level}" for level in ("0.1", "0.3", "0.5", "0.7")} | {"mRec": "mRec_joint"}


def _named(
    choices: Sequence[Choice], count: str, ratio: str, right: str, ratio_right: str
) -> dict[str, float | None]:
    """What the authors' script reports of answers with a letter, under its names."""
    named = sum(choice.named for choice in choices)
    correct = sum(choice.named and choice.right for choice in choices)
    found: dict[str, float | None] = {
        count: named,
        ratio: named / len(choices),
        right: correct,
        ratio_right: correct / (named + _BARELY),
    }
    found.pop("", None)
    return found
