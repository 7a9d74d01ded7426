"""Answers taken apart into what is said of each event and the words around it, and put together again.

Two forms are read generically, whatever the words: a sentence that lists intervals ("The action happens in
<evi>, and <evi>.") and intervals that each carry a caption ("<evi>, a red ball enters. <evi>, a blue star
grows."). A form is used only for an answer that it rebuilds exactly; one of another shape is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Segments = tuple[str | int, ...]

# What may stand between `<evi>` and its caption, and after the caption.
_LEAD = " \t\n,:;.-\u2013\u2014"
_TRAIL = " \t\n.,;!"


class ListForm(NamedTuple):
    """A sentence around intervals: head <evi> inner <evi> inner … last <evi> tail."""

    head: str
    inner: str
    last: str
    tail: str

    def build(self, count: int) -> Segments:
        """Segments of the sentence for `count` intervals, at least one."""
        segments: list[str | int] = [self.head, 0]
        for k in range(1, count):
            segments += [self.last if k == count - 1 else self.inner, k]
        return merge_texts([*segments, self.tail])


class CaptionForm(NamedTuple):
    """Captions behind their intervals: head, <evi> lead caption gap …, the last one ending with `end`."""

    head: str
    lead: str
    gap: str
    end: str

    def build(self, captions: Sequence[str]) -> Segments:
        """Segments of the answer for these captions, one for each interval in order, at least one."""
        segments: list[str | int] = [self.head]
        for k, caption in enumerate(captions):
            closing = self.end if k == len(captions) - 1 else self.gap
            segments += [k, f"{self.lead}{caption}{closing}"]
        return merge_texts(segments)


class CaptionedAnswer(NamedTuple):
    """A caption answer as its form and the captions, one per event."""

    form: CaptionForm
    captions: tuple[str, ...]


def read_list(segments: Segments) -> ListForm | None:
    """Form of an answer that lists intervals; None where its separators are irregular or it has none."""
    head, texts = texts_around(segments)
    if not texts:
        return None
    *separators, tail = texts
    last = separators[-1] if separators else ", and "
    inner = separators[0] if len(separators) > 1 else ", "
    form = ListForm(head, inner, last, tail)
    return form if form.build(len(texts)) == segments else None


def read_captions(segments: Segments) -> CaptionedAnswer | None:
    """Form and captions of an answer that captions its intervals; None where it does not rebuild."""
    head, texts = texts_around(segments)
    captions = tuple(caption_in(text) for text in texts)
    if not texts or not all(captions):
        return None
    lead = texts[0][: texts[0].index(captions[0])]
    end = texts[-1][len(texts[-1].rstrip(_TRAIL)) :]
    gap = texts[0][len(lead) + len(captions[0]) :] if len(texts) > 1 else f"{end.rstrip() or '.'} "
    form = CaptionForm(head, lead, gap, end)
    return CaptionedAnswer(form, captions) if form.build(captions) == segments else None


def caption_in(text: str) -> str:
    """The caption in what follows an interval: without the punctuation around it; may be empty."""
    return text.rstrip(_TRAIL).lstrip(_LEAD)


def texts_around(segments: Segments) -> tuple[str, list[str]]:
    """(text before the first reference, text after each reference)."""
    head = ""
    texts: list[str] = []
    for segment in segments:
        if isinstance(segment, int):
            texts.append("")
        elif texts:
            texts[-1] += segment
        else:
            head += segment
    return head, texts


def merge_texts(segments: Sequence[str | int]) -> Segments:
    """The same segments without empty texts, as `GroundedResponse` keeps them."""
    return tuple(segment for segment in segments if segment != "")


def match_case(words: str, model: str) -> str:
    """`words` with a capital first letter exactly where `model` has one; acronyms and "I" keep theirs."""
    if not words or not model or words.startswith("I ") or words[1:2].isupper():
        return words
    first = words[0].upper() if model[0].isupper() else words[0].lower()
    return first + words[1:]
