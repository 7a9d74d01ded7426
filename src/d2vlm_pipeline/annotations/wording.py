"""Questions and answers for formats that give none; the forms are those that the demo world uses.

`{query}` is what a row describes, `{spans}` the list of `<evi>`.
"""

from __future__ import annotations

from collections.abc import Sequence

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.timeline import EVI

QUESTIONS: dict[str, str] = {
    "tvg": "When does this event happen: {query}?",
    "epm": "Recall when this was seen: {query}.",
    "tal": "Find every moment that shows this: {query}.",
    "evs": "Pick the moments that sum this up: {query}.",
    "vhd": "Which moment is the highlight of this: {query}?",
    "dvc": "Describe every event of the video and say when it happens.",
    "slc": "Name every step that the video shows and say when it is done.",
    "tvc": "Describe what the video shows, moment by moment.",
}
ANSWERS: dict[str, str] = {
    "tvg": "The event happens in {spans}.",
    "epm": "The event happens in {spans}.",
    "tal": "The action happens in {spans}.",
    "evs": "The summary locates in {spans}.",
    "vhd": "The highlight moment happens at {spans}.",
    "tem": "The similar event happens in {spans}.",
    "gvq": "The relevant event happens in {spans}.",
}
ABSENT_ANSWER = "No such event happens in the video."
CAPTIONED = ("dvc", "slc", "tvc")
"""Tasks whose answer is a list of intervals, each with its caption."""


def asked(task: str, query: str, config: ImportConfig) -> str:
    """The question about what `query` describes.

    Raises:
        UserError: the task has no wording, and none is configured.
    """
    template = config.question or QUESTIONS.get(task)
    if template is None:
        raise UserError(f"no question is known for task {task}; set data.question")
    return template.replace("{query}", query)


def answered(task: str, events: int, config: ImportConfig, choice: str = "") -> str:
    """Sentence around `events` references, with the chosen option before it.

    Raises:
        UserError: the task has no wording, and none is configured.
    """
    if not events:
        return choice or ABSENT_ANSWER
    template = config.answer or ANSWERS.get(task)
    if template is None:
        raise UserError(f"no answer is known for task {task}; set data.answer")
    return f"{choice} {template.replace('{spans}', listed(events))}".strip()


def captioned(captions: Sequence[str]) -> str:
    """``<evi>, a red ball enters. <evi>, it leaves.``"""
    return " ".join(f"{EVI}, {caption}." for caption in captions) or ABSENT_ANSWER


def chosen(options: Sequence[str], index: int) -> str:
    """``(B) a red ball.``"""
    return f"({chr(ord('A') + index)}) {options[index]}."


def plain(text: str) -> str:
    """A caption on one line, without the full stop that sentences around it bring along."""
    return " ".join(text.split()).rstrip(" .")


def listed(count: int) -> str:
    """``<evi>``, ``<evi>, and <evi>``, ``<evi>, <evi>, and <evi>``."""
    references = [EVI] * count
    return references[0] if count == 1 else f"{', '.join(references[:-1])}, and {references[-1]}"
