"""What the characters of a caption are to the tokeniser: part of a word, a symbol of its own, or a gap."""

import re
import unicodedata

MARKS = (
    "\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u036f"  # European
    "\u0483-\u0487\u0591-\u05bd\u064b-\u065e\u093e-\u094e"  # Cyrillic, Hebrew, Arabic, Devanagari
)
"""Signs that belong to the word they stand in, as ranges of a character class."""

_MARK = re.compile(f"[{MARKS}]")
_WORD_CATEGORIES = frozenset(["Lu", "Ll", "Lt", "Lm", "Lo", "Nd"])
_GAP = "\n"  # parts tokens; unlike a space, none may hold it
_WRITTEN = {
    "\u0080": "$", "¤": "$", "\u20a0": "$", "€": "$", "£": "#", "¢": "cents",
    "¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
}  # fmt: skip
_KEPT = frozenset("’\u058a\u2010\u2011\u2044") | {chr(code) for code in range(0x20, 0x7F)}
_SYMBOL_BLOCKS = (
    (0x2030, 0x2038), (0x2100, 0x214F), (0x2155, 0x215E), (0x2190, 0x2BFF), (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65),
)  # fmt: skip
_SYMBOLS = frozenset("¡¥¦§¨©¬®¯°±²³´¶·¸¹¿×÷;·‖‗‚„‟†‡•‣※‾‿⁀⁁⁂⁰₤、。〒・￠￡￥￦฿") | {
    chr(code) for first, last in ((0x2074, 0x207E), (0x2080, 0x208E)) for code in range(first, last + 1)
}


class _Classes(dict[int, str]):
    """For `str.translate`: each character as the lexer reads it, found when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = _as_read(chr(code))
        return self[code]


CLASSES = _Classes()


def _as_read(char: str) -> str:
    if char in _KEPT:
        return char
    if char == "\u0092":
        return "’"
    if char == "\u00ad":  # a place to break a word: not seen
        return ""
    if char in _WRITTEN:
        return _GAP + _WRITTEN[char] + _GAP
    code = ord(char)
    if code <= 0xFFFF and (unicodedata.category(char) in _WORD_CATEGORIES or _MARK.match(char)):
        return char
    if char in _SYMBOLS or any(first <= code <= last for first, last in _SYMBOL_BLOCKS):
        return _GAP + char + _GAP
    # Of anything else, and of all characters beyond the first 65,536, it sees nothing.
    return _GAP
