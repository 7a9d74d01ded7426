"""Sentences of one scoring, tokenised once, because every protocol asks about the same ones."""

from __future__ import annotations

from collections.abc import Sequence

from d2vlm_pipeline.evaluation.captions import ptb_tokenize


class Words:
    """Tokens of sentences, remembered."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def tokens(self, texts: Sequence[str], ascii_only: bool = False) -> list[str]:
        """Tokens of each text, joined by single spaces; where `ascii_only`, other characters are blanks."""
        if ascii_only:
            texts = [_blanked(text) for text in texts]
        new = list(dict.fromkeys(text for text in texts if text not in self._tokens))
        self._tokens |= dict(zip(new, ptb_tokenize(new), strict=True))
        return [self._tokens[text] for text in texts]


def _blanked(text: str) -> str:
    return text if text.isascii() else "".join(letter if letter.isascii() else " " for letter in text)
