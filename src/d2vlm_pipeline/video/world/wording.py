"""How the demo world asks and answers. Six wordings a kind of question; the last two in test splits only.

Every wording of the test splits is made of words that training wordings use, so that a test measures whether
the question was understood, not whether a word was ever seen.
"""

from __future__ import annotations

import random

TEST_ONLY = 2
_MAYBE = " It may never happen."

QUESTIONS: dict[str, tuple[str, ...]] = {
    "tvg": (
        "When does this event happen: {query}?" + _MAYBE,
        "Find the moment when {query}." + _MAYBE,
        "Locate the event: {query}." + _MAYBE,
        "At what time does this happen: {query}?" + _MAYBE,
        "Find the event: {query}." + _MAYBE,
        "When is the moment when {query}?" + _MAYBE,
    ),
    "epm": (
        "When did I see {noun}?" + _MAYBE,
        "Recall the moment I saw {noun}." + _MAYBE,
        "At what time did I see {noun}?" + _MAYBE,
        "Recall when I saw {noun}." + _MAYBE,
        "Recall the time I saw {noun}." + _MAYBE,
        "When was it that I saw {noun}?" + _MAYBE,
    ),
    "tal": (
        "Find all moments when {query}." + _MAYBE,
        "List every time that {query}." + _MAYBE,
        "Locate all the times when {query}." + _MAYBE,
        "List every moment when {query}." + _MAYBE,
        "Find every moment when {query}." + _MAYBE,
        "Locate all moments when {query}." + _MAYBE,
    ),
    "evs": (
        "Summarize the parts with {noun}.",
        "Give a summary of the parts with {noun}.",
        "Select the parts that show {noun}.",
        "Give the parts that show {noun}.",
        "Select the parts with {noun}.",
        "Summarize the parts that show {noun}.",
    ),
    "vhd": (
        "Where is the highlight: {query}?",
        "Find the highlight when {query}.",
        "Show the highlight where {query}.",
        "Locate the highlight: {query}.",
        "Find the highlight: {query}.",
        "Show the highlight when {query}.",
    ),
    "dvc": (
        "Describe every event with its time.",
        "Caption all events and give their times.",
        "Give a caption and a time for every event.",
        "Describe all events with times.",
        "Caption every event with its time.",
        "Give a caption for all events with times.",
    ),
    "slc": (
        "List the steps of the video with times.",
        "Which steps does the video show, and when?",
        "Give the steps of the video in order.",
        "Name every step with its time.",
        "List every step of the video in order.",
        "Name the steps of the video with times.",
    ),
    "tvc": (
        "Write the timeline of the video.",
        "Tell the video as a timeline.",
        "Make a timeline of what the video shows.",
        "Write what happens as a timeline.",
        "Make the timeline of the video.",
        "Tell what the video shows as a timeline.",
    ),
    "rvc": (
        "Describe the event in <evi>.",
        "What happens in <evi>?",
        "Caption <evi>.",
        "Tell what the video shows in <evi>.",
        "Describe what happens in <evi>.",
        "Caption the event in <evi>.",
    ),
    "tem": (
        "Find an event similar to the one in <evi>.",
        "When does the event in <evi> happen once more?",
        "Locate an event like the one in <evi>.",
        "At what time is an event similar to <evi>?",
        "Find an event like the one in <evi>.",
        "When is an event similar to the one in <evi>?",
    ),
    "gvq/colour": (
        "What colour is the {rest}?",
        "Which colour has the {rest}?",
        "Name the colour of the {rest}.",
        "Tell the colour of the {rest}.",
        "What is the colour of the {rest}?",
        "Which colour is the {rest}?",
    ),
    "gvq/class": (
        "What object is it: {rest}?",
        "Which object is meant: {rest}?",
        "Name the object: {rest}.",
        "Tell the object: {rest}.",
        "What is the object: {rest}?",
        "Which object is it: {rest}?",
    ),
    "gvq/action": (
        "What does {rest} do?",
        "Which action does {rest} do?",
        "Name the action of {rest}.",
        "Tell what {rest} does.",
        "What is the action of {rest}?",
        "Name what {rest} does.",
    ),
    "mcq/first": (
        "Which event happens first?",
        "What happens first in the video?",
        "Name the first event.",
        "Tell what happens first.",
        "Which is the first event in the video?",
        "What is the first event?",
    ),
    "mcq/last": (
        "Which event happens last?",
        "What happens last in the video?",
        "Name the last event.",
        "Tell what happens last.",
        "Which is the last event in the video?",
        "What is the last event?",
    ),
    "rar": (
        "What happens right after <evi>?",
        "Which event comes right after <evi>?",
        "Name the event right after <evi>.",
        "Tell what comes right after <evi>.",
        "What comes right after <evi>?",
        "Which event happens right after <evi>?",
    ),
    "eca": (
        "Which caption fits <evi>?",
        "Select the caption of <evi>.",
        "What is the caption of <evi>?",
        "Name the caption that fits <evi>.",
        "Which is the caption of <evi>?",
        "Select the caption that fits <evi>.",
    ),
    "rvq/colour": (
        "What colour is the object in <evi>?",
        "Which colour has the object in <evi>?",
        "Name the colour of the object in <evi>.",
        "Tell the colour of the object in <evi>.",
        "What is the colour of the object in <evi>?",
        "Which colour is the object in <evi>?",
    ),
    "rvq/class": (
        "What object is in <evi>?",
        "Which object does <evi> show?",
        "Name the object in <evi>.",
        "Tell the object in <evi>.",
        "What is the object in <evi>?",
        "Which object is in <evi>?",
    ),
    "rvq/action": (
        "What does the object in <evi> do?",
        "Which action does the object in <evi> do?",
        "Name the action in <evi>.",
        "Tell what the object in <evi> does.",
        "What is the action in <evi>?",
        "Name what the object in <evi> does.",
    ),
}

ABSENT_ANSWER = "No such event happens in the video."


def wording(kind: str, split: str, rng: random.Random) -> str:
    """One wording of a kind of question: any of six in a test split, one of the first four elsewhere."""
    choices = QUESTIONS[kind]
    return rng.choice(choices if split.startswith("test") else choices[:-TEST_ONLY])


def listed(count: int) -> str:
    """``<evi>``, ``<evi>, and <evi>``, ``<evi>, <evi>, and <evi>``."""
    refs = ["<evi>"] * count
    return refs[0] if count == 1 else f"{', '.join(refs[:-1])}, and {refs[-1]}"
