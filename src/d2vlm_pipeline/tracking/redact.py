"""What is logged names no password: neither one in an address nor one under a key that says what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

# `scheme://user:password@host`; a password may hold slashes, as databases allow. A port and a path are none.
_IN_URI = re.compile(r"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.\-]*://[^/\s:@'\"]*):(?!\d+/)[^\s@'\"]+@")
# Whole words of a key. `token` alone is none of them: here it is a piece of text nearly everywhere.
_SECRET_KEY = re.compile(
    r"(^|[._\-])(password|passwd|passphrase|secrets?|credentials?|(api|access|private)[_\-]?key|"
    r"(access|api|auth|hf|session)_token)($|[._\-])",
    re.IGNORECASE,
)


def redacted(value: Any, key: str = "") -> Any:
    """The same value with passwords replaced by `***`: in texts, and below mappings and lists.

    Args:
        value: JSON-like.
        key: what it is called.
    """
    if isinstance(value, Mapping):
        return {name: redacted(below, str(name)) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(below, key) for below in value]
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key):
        return HIDDEN
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """The same text with `***` for passwords of addresses."""
    return _IN_URI.sub(rf"\g<before>:{HIDDEN}@", text)
