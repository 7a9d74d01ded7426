"""Canonical JSON and SHA-256 digests: equal content gives equal text, on every machine and in every run."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_CHUNK_BYTES = 1 << 20
_SCALARS = frozenset({str, int, float, bool, type(None)})


def canonical_json(obj: Any) -> str:
    """Render `obj` as JSON with sorted keys and no spaces, floats in shortest exact form.

    Pydantic models, tuples and paths are accepted next to the JSON types.

    Raises:
        ValueError: a float is NaN or infinite (two such records would never compare equal).
        TypeError: a value has no JSON form, or a key is not a string (`1` and `"1"` would collide).
    """
    return json.dumps(_plain(obj), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_bytes(data: bytes) -> str:
    """SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_json(obj: Any) -> str:
    """SHA-256 of the canonical JSON of `obj`; same errors as `canonical_json`."""
    return digest_bytes(canonical_json(obj).encode("utf-8"))


def digest_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, read in chunks.

    Raises:
        OSError: the file cannot be read.
    """
    sha = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def _plain(obj: Any) -> Any:
    if type(obj) in _SCALARS:  # most of what there is, and asking whether it is a model is slow
        return obj
    if isinstance(obj, BaseModel):
        return _plain(obj.model_dump())  # mode="json" would turn a NaN inside an Any into null
    if isinstance(obj, dict):
        for key in obj:
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON needs string keys, got {key!r}")
        return {key: _plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_plain(item) for item in obj]
    if isinstance(obj, Path):
        return obj.as_posix()
    return obj
