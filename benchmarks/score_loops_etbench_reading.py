r"""Answers of E.T. Bench as its public script reads them, in plain loops: what our reading is compared with.

compute_metrics_original_etchat.py (nusnlp/d2vlm), with its patterns given to `re` as they are.
"""

from __future__ import annotations

import re

Times = list[list[float]]

PAIR = re.compile(r"(\d+\.*\d*)\s*-\s*(\d+\.*\d*)")
PAIR_WHOLE = re.compile(r"\d+\.*\d*\s*-\s*\d+\.*\d*")
TO = re.compile(r"(\d+\.*\d*)\s* to \s*(\d+\.*\d*)")
FIRST_NUMBER = re.compile(r"\b(\d+\.\d+\b|\b\d+)\b")
CLOCK = re.compile(r"\b(\d{1,2}:\d{2}:\d{2})\b")
MINUTES = re.compile(r"\d+\.*\d*:\d+\.*\d*")
LONE = re.compile(r"\d+\.*\d*(?!\.)")
LABELLED_START = re.compile(r"start(?:ing)? time: (\d+\.*\d*)")
LABELLED_END = re.compile(r"end(?:ing)? time: (\d+\.*\d*)")
TOGETHER = re.compile(r"start time (\d+\.*\d*), end time (\d+\.*\d*)")
RADIUS_S = 20


def read_intervals(answer: str) -> Times | None:
    """Intervals of an answer; None where there is none. A number like `1..5` raises ValueError."""
    answer = answer.lower()
    found = PAIR.findall(answer) or TO.findall(answer)
    times = [[float(start), float(end)] for start, end in found]
    if not times:
        wanted = [part for part in re.split(r"[!?\n]", answer) if re.search("start|end|happen", part)]
        firsts = [float(match[1]) for part in wanted if (match := FIRST_NUMBER.search(part))]
        if len(firsts) < 2:
            clocks = [match[1].split(":") for part in wanted if (match := CLOCK.search(part))]
            firsts = [3600.0 * int(h) + 60.0 * int(m) + int(s) for h, m, s in clocks]
        times = [[firsts[i], firsts[i + 1]] for i in range(0, len(firsts) - 1, 2)]
    return [[min(pair), max(pair)] for pair in times] or None


def read_described(answer: str) -> tuple[Times, list[str]] | None:
    """Intervals with captions; None where there are none."""
    try:
        times, captions = _described(answer.lower())
    except (ValueError, AssertionError):
        return None
    if not times:
        times, captions = _first_piece(answer)
    return ([[min(pair), max(pair)] for pair in times], captions) if times else None


def _described(text: str) -> tuple[Times, list[str]]:
    captions: list[str] = []
    times = [[float(start), float(end)] for start, end in PAIR.findall(text)]
    if times:
        rest = text
        for whole in PAIR_WHOLE.findall(text):
            rest = rest.replace(whole, "\n")
        captions = rest.replace("seconds", "").split("\n")
    else:
        starts, ends = LABELLED_START.findall(text), LABELLED_END.findall(text)
        times = [[float(start), float(end)] for start, end in zip(starts, ends, strict=False)]
        if times:
            captions = re.findall(r"description: (.*)", text) or re.findall(r"\*\s*(.*)", text)
        elif TOGETHER.search(text):
            raise AssertionError("the script stops here")
    captions = [piece.strip().strip(", ").rstrip() for piece in captions if len(piece) > 5]
    count = min(len(times), len(captions))
    return times[:count], captions[:count]


def _first_piece(answer: str) -> tuple[Times, list[str]]:
    pieces = answer.split("\n") if "\n" in answer else answer.split(".")
    dot = "" if "\n" in answer else "."
    for piece in [piece + dot for piece in pieces if len(piece) > 7]:
        parts = [part.strip(",") for part in piece.split("seconds")]
        try:
            written = _written_times(parts[0])
            start, end = written[0].split("-")[:2]
            return [[round(float(start.strip()), 2), round(float(end.strip()), 2)]], [parts[-1].strip()]
        except (ValueError, IndexError):
            continue
    return [], []


def _written_times(text: str) -> list[str]:
    found = PAIR_WHOLE.findall(text)
    if not found and text.count(":") == 1:
        found = [_around(_minutes_s(MINUTES.findall(text)[0]))]
    elif not found and text.count(":") == 2:
        start, end = MINUTES.findall(text)
        found = [f"{_minutes_s(start)} - {_minutes_s(end)}"]
    if found:
        return found
    lone: list[str] = LONE.findall(text)
    if len(lone) == 1:
        return [_around(float(lone[0]))]
    return [f"{lone[0]} - {lone[1]}"] if len(lone) == 2 else lone


def _minutes_s(text: str) -> int:
    minutes, seconds = text.split(":")
    return int(minutes) * 60 + int(seconds)


def _around(time_s: float) -> str:
    if time_s > RADIUS_S:
        return f"{time_s - RADIUS_S} - {time_s + RADIUS_S}"
    return f"{time_s} - {time_s + 2 * RADIUS_S}"
