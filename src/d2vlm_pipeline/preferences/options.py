"""Answers that choose: "(B) blue. The relevant event happens in <evi>."."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from d2vlm_pipeline.preferences.answers import match_case
from d2vlm_pipeline.preferences.scene import Magnitude, Scene
from d2vlm_pipeline.timeline import GroundedResponse

_LETTERED = re.compile(r"\((?P<letter>[A-Z])\)\s*")
_NO_WORDS = " \t\n.,:;)"


class OptionAnswer(NamedTuple):
    """A choice taken apart: the letter with what joins it to the words, the option's words, and the rest.

    `words` is empty where the answer is a letter alone.
    """

    lead: str
    right: int
    words: str
    rest: str

    def put(self, scene: Scene, option: int, *, letter: bool = True) -> GroundedResponse:
        """The answer with another option: letter and words, or the words alone."""
        options = scene.sample.options or ()
        lead = self.lead.replace(_letter(self.right), _letter(option), 1) if letter else self.lead
        words = match_case(options[option], self.words) if self.words else ""
        segments = (lead + words + self.rest, *scene.said.segments[1:])
        return GroundedResponse(evidence=scene.said.evidence, segments=segments)

    def swapped(self, scene: Scene, option: int) -> Magnitude:
        """Record of having put another option, letter and all; with the words where words stood."""
        magnitude: Magnitude = {"option_from": self.right, "option_to": option}
        if self.words:
            magnitude["words"] = (scene.sample.options or ())[option]
        return magnitude


def read_option(scene: Scene) -> OptionAnswer | None:
    """The right option as the answer says it; None where it says it in another form."""
    options, right = scene.sample.options, scene.sample.answer_index
    opening = scene.said.segments[0] if scene.said.segments else ""
    match = _LETTERED.match(opening) if isinstance(opening, str) else None
    if options is None or right is None or match is None or not isinstance(opening, str):
        return None
    said = opening[match.end() :]
    if match["letter"] != _letter(right):
        return None
    if said.lower().startswith(options[right].lower()):
        length = len(options[right])
        return OptionAnswer(match.group(), right, said[:length], said[length:])
    return None if said.strip(_NO_WORDS) else OptionAnswer(match.group(), right, "", said)


def another_option(scene: Scene, right: int, rng: Random) -> int:
    """Any but the right one."""
    options = scene.sample.options or ()
    return rng.choice([index for index in range(len(options)) if index != right])


def _letter(option: int) -> str:
    return chr(ord("A") + option)
