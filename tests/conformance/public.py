"""Annotation files of public benchmarks, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


def public_file(*parts: str) -> Path:
    """A file of the conformance folder; skips the test where no variable names one and none lies beside."""
    named = os.environ.get("D2VLM_CONFORMANCE_DIR")
    if named is None and not SHARED.exists():
        pytest.skip(
            "no public annotations: ../shared is not beside this checkout; set D2VLM_CONFORMANCE_DIR to them"
        )
    folder = Path(named) if named is not None else SHARED / "conformance"
    return folder.joinpath(*parts)
