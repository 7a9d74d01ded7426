"""Words of a caption as the Penn Treebank writes them, without punctuation: what caption metrics compare.

The rules reproduce what the COCO tools' tokeniser (PTBTokenizer of Stanford CoreNLP 3.4.1, `-preserveLines
-lowerCase`) leaves of a caption once the tools have removed punctuation. They were found by asking it, over
the captions of public benchmarks and over drawn ones; docs/evaluation.md says what is known to differ.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from d2vlm_pipeline.evaluation.captions.characters import CLASSES, MARKS

_L = f"(?:[^\\W\\d_]|[{MARKS}])"
"""A letter, or a mark on one."""
_LD = f"(?:[^\\W_]|[{MARKS}])"
"""A letter or digit."""
_A = "['’]"
"""An apostrophe, straight or curly."""
_H = "[-\u058a\u2010\u2011]"
"""A hyphen."""
_WORD = f"{_L}{_LD}*(?:[.!?]{_L}{_LD}*)*"
_ELISION = f"(?:[dDoOlL]{_A}(?={_LD}{_LD}))?"
_CLITIC = "(?i:[msd]|re|ve|ll)"
_NUMBER = r"(?:\d*(?:[.:,⁄٫٬]\d+)+|\d+)"
_PART = f"[A-Za-z\\d]+(?:{_H}[A-Za-z]+)*"

# What the tools take out of what their tokeniser says. Brackets are on their list in capitals and come in
# small letters, so they stay: "-lrb-".
_PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"', *"’‐‑֊"])
_WRITTEN = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_ENTITIES = {"&quot;": '"', "&apos;": "'", "&nbsp;": " ", "&lt;": "\n<\n", "&gt;": "\n>\n"}

# Kept with their full stop: in any case, in small letters or with a capital, only with a capital, only before
# numbers.
_ABBREVIATIONS = (
    "al|cf|co|ct|dr|ft|ga|jr|ky|lt|md|mo|mr|ms|mt|ph|rd|rt|sq|sr|st|va|vs|vt|wm|"
    "adj|adm|adv|ala|apr|aug|ave|cie|col|cos|cpl|dak|dec|det|drs|ens|esq|est|etc|ext|"
    "feb|fla|fri|gen|gov|hon|inc|ind|jan|jos|jul|jun|kan|ltd|maj|mar|mme|mon|mrs|neb|"
    "nev|nov|oct|pfc|plc|pvt|rep|rev|sen|sep|seq|sfc|sgt|spc|ste|sys|tel|thu|tue|wed|"
    "wis|wyo|alex|ariz|assn|asst|atty|bldg|blvd|brig|bros|capt|cmdr|colo|conn|corp|dept|"
    "elec|govs|insp|intl|invt|kans|mich|minn|mlle|mont|msgr|natl|okla|penn|pres|prof|"
    "reps|sens|sept|supt|tenn|tues|univ|wisc|assoc|attys|bancorp|calif|lieut|messrs|profs|"
    "supts|thurs|comdr|treas"
)
_NOT_IN_CAPITALS = "[Bb]hd|[Mm]fg|[Mm]tg|[Pp]te|[Pp]ty|[Pp]pte|[Pp]pty|[Pp]tes|[Pp]tys|[Pp]ptes|[Pp]ptys"
_WITH_CAPITAL = "A[zZ]|L[aA]|P[aA]|A(?i:rk)|D(?i:el)|I(?i:ll)|O(?i:re)|T(?i:ex)|M(?i:ass|iss)|W(?i:ash)"
_BEFORE_NUMBERS = "ca|no|op|pp|art|fig|nos|figs|prop"
# A letter with a full stop is an initial, unless one of these words begins a sentence after it.
_SENTENCE_STARTS = (
    "A|About|According|Additionally|After|An|As|At|But|Earlier|He|Her|Here|However|If|In|"
    "It|Last|Many|More|Now|Once|One|Other|Our|She|Since|So|Some|Such|That|The|Their|"
    "Then|There|These|They|This|We|What|When|While|Yet|You"
)
_SENTENCE_STARTS += f"|{_SENTENCE_STARTS.upper()}"


@dataclass(frozen=True)
class _Rule:
    """What may stand at a place: `text`, before `before`. The longest of both together wins.

    Attributes:
        split: letters of the first of two tokens, where it is two.
        shown: False for what is punctuation whatever it is.
    """

    name: str
    text: str
    before: str = ""
    split: int = 0
    shown: bool = True


_RULES = (
    _Rule("dashes, dots, quotes", r"-{2,4}|\.{3,5}|(?:\. ){2,4}\.|''|``", shown=False),
    _Rule("tag", r"<[A-Za-z][A-Za-z\d_.:-]*(?: [^<>\n]*)?/?>|</[A-Za-z][A-Za-z\d_.:-]* *>|<!--[^<>\n]*-->"),
    _Rule("fused", "(?i:cannot|gonna|gotta|lemme|gimme|wanna)", split=3),
    _Rule("'tis", "'(?i:t)", before="(?i:is|was)"),
    _Rule("do n't", "[A-Za-z]*[A-MO-Za-mo-z]", before=f"(?i:n{_A}t)"),
    _Rule("n't", f"(?i:n{_A}t)"),
    _Rule("it 's", _WORD, before=f"{_A}{_CLITIC}(?:[^A-Za-z]|$)"),
    _Rule("'s", f"{_A}{_CLITIC}", before="(?:[^A-Za-z]|$)"),
    _Rule("curly 's", f"’{_CLITIC}"),
    _Rule("it 's anywhere", _WORD, before=f"’{_CLITIC}"),
    _Rule("'50", rf"{_A}\d\d", before=r"(?:\s|$)"),
    _Rule("'50s", f"{_A}[2-9]0s"),
    _Rule("'em", rf"(?i:{_A}(?:cause|till?|em|n{_A}|n(?![A-Za-z\d.]))|’n)"),
    _Rule("ol'", f"(?i:ol|dunkin|somethin|[dlj]){_A}"),
    _Rule("as one", "(?i:c'est|c'mon|s'mores|e'er|ev'ry)"),
    _Rule("y'all", f"[yY]{_A}", before=_L),
    _Rule("o'clock", f"[dDoOlL]{_A}{_LD}{_LD}+"),
    _Rule("N'Djamena", f"[A-HJ-XZn]{_A}{_L}{_L}+"),
    _Rule("ma'am", f"{_L}+[aeiouyAEIOUY]{_A}[aeiouAEIOU]{_L}*"),
    _Rule("url", r"(?i:https?)://[^\s\"<>|(){}]+[^\s\"<>|.!?(){},-]"),
    _Rule("address", r"(?:mailto:)?[A-Za-z\d][^\s\"<>|()]{0,64}@[^\s\"<|()@.]+(?:\.[^\s\"<|()@.]+)*"),
    _Rule("handle", "@[A-Za-z_][A-Za-z0-9_]*"),
    _Rule("tag of a post", f"#{_L}+"),
    _Rule("etc.", r"(?i:etc)\.", before="[A-Za-z]"),
    _Rule("word", _WORD),
    _Rule("hyphens", f"{_ELISION}{_LD}+(?:(?:{_H}|_){_ELISION}{_LD}+)*"),
    _Rule("and/or", f"{_PART}(?:/{_PART}){{1,2}}"),
    _Rule("1 1/2", r"(?:\d{1,4}[- \u00a0])?\d{1,4}[/⁄]\d{1,4}"),
    _Rule("11/12/13", r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"),
    _Rule("number", f"[-+]?{_NUMBER}"),
    _Rule("3.5-inch", rf"[A-Za-z\d][A-Za-z\d.,]{{0,64}}(?:{_H}[A-Za-z\d]+)+"),
    _Rule(
        "phone",
        r"(?:\(\d{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:\d{2,4}[- \u00a0])?\d{2,4}[- \u00a0])"
        r"\d{3,4}[- \u00a0]?\d{3,5}",
    ),
    _Rule("abbreviation", rf"(?i:{_ABBREVIATIONS})\."),
    _Rule("in small letters", rf"(?:{_NOT_IN_CAPITALS})\."),
    _Rule("with a capital", rf"(?:{_WITH_CAPITAL})\."),
    _Rule("before a number", rf"(?i:{_BEFORE_NUMBERS})\.", before=r"\s?\d"),
    _Rule("within a sentence", rf"(?:{_WORD}|{_LD}+(?:{_H}{_LD}+)*)\.", before="[,:;]"),
    _Rule("letter at an end", "[A-Za-z]", before=rf"\.\s+(?:{_SENTENCE_STARTS})(?:\s|$)"),
    _Rule("acronym", r"(?:[A-Za-z]\.)+|(?i:ph\.d)\."),
    _Rule("hyphen with acronym", rf"(?:{_LD}+{_H})+[A-Za-z](?:\.[A-Za-z])+\."),
    _Rule("smiley", r"[<>]?[:;=]['o*-]?[(){@|\[\]\\DPdp](?![A-Za-z0-9])|\^_\^|-_-|[oO]_[oO]"),
    _Rule("company", "[A-Z]+(?:&[A-Z]+)+"),
    _Rule("dollars", r"[A-Z]{1,3}\$|[cCfF]#|[cC]\+\+"),
    _Rule("sign again and again", r"[!?]+|<<|>>|-{5,}|_+|\*+|#+|@+"),
)

_COMPILED = tuple(
    (rule, re.compile(f"({rule.text})" + (f"(?=({rule.before}))" if rule.before else ""))) for rule in _RULES
)
_FUSED = frozenset(["cannot", "gonna", "gotta", "lemme", "gimme", "wanna"])
_PLAIN = re.compile(r"[A-Za-z]+(?=,?(?:\s|$))")
_SPACE = re.compile(r"\s+")
_BLANK = "\u00a0"  # stands within a token for the space in it


def ptb_tokenize(texts: Sequence[str]) -> list[str]:
    """Tokens of each caption, in small letters and without punctuation, joined by single spaces."""
    return [_tokenized(text) for text in texts]


@lru_cache(maxsize=1 << 16)
def _tokenized(text: str) -> str:
    tokens = (token.lower().replace(" ", _BLANK) for token in _tokens(_as_read(text)))
    return " ".join(token for token in tokens if token not in _PUNCTUATION)


def _as_read(text: str) -> str:
    if "&" in text:
        text = text.replace("&amp;", "&")
        for entity, written in _ENTITIES.items():
            text = text.replace(entity, written)
    return text.translate(CLASSES)


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        if space := _SPACE.match(text, place):
            place = space.end()
        elif (plain := _PLAIN.match(text, place)) and plain[0].lower() not in _FUSED:
            # Nearly every token is one of these, and no other rule would reach further.
            yield plain[0]
            place = plain.end()
        else:
            token, rule = _longest(text, place)
            place += len(token)
            if rule is None:
                yield _WRITTEN.get(token, token)
            elif rule.split:
                yield token[: rule.split]
                yield token[rule.split :]
            elif rule.shown:
                yield _shown(token, rule)


def _longest(text: str, place: int) -> tuple[str, _Rule | None]:
    """The token at a place and its rule; one character by no rule where none holds."""
    best, token, winner = 0, text[place], None
    for rule, pattern in _COMPILED:
        match = pattern.match(text, place)
        if match and (length := sum(len(group) for group in match.groups())) > best:
            best, token, winner = length, match[1], rule
    return token, winner


def _shown(token: str, rule: _Rule) -> str:
    if "’" in token and rule.name in ("'s", "n't", "curly 's"):
        return token.replace("’", "'")
    if rule.name in ("smiley", "phone"):
        return token.replace("(", "-lrb-").replace(")", "-rrb-")
    return token
