"""Equal content has equal digests; what cannot be compared is refused."""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import StrictModel, canonical_json, digest_bytes, digest_file, digest_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
)


@given(JSON)
def test_canonical_json_reads_back_equal(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()), st.randoms())
def test_key_order_does_not_matter(record: dict[str, int], random: Any) -> None:
    items = list(record.items())
    random.shuffle(items)
    assert digest_json(dict(items)) == digest_json(record)


def test_exact_form() -> None:
    value = {"b": (1, 2.5, None), "a": {"é": True}, "p": Path("x/y")}
    assert canonical_json(value) == '{"a":{"é":true},"b":[1,2.5,null],"p":"x/y"}'


def test_digest_is_pinned() -> None:
    """A changed canonical form would orphan every stored artefact: change it knowingly."""
    expected = "c85a32002ab44befebd40fe674e4ac562524fa9d905f307b8f88d90d0b01b62c"
    assert digest_json({"b": None, "a": [1, 2.5, "é"]}) == expected


def test_digest_does_not_depend_on_the_hash_seed() -> None:
    code = "from d2vlm_pipeline.artifacts import digest_json; print(digest_json({c: c for c in 'qwertz'}))"
    command = [sys.executable, "-c", code]
    runs = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_without_json_form_are_refused(bad: float) -> None:
    class Loose(StrictModel):
        values: dict[str, Any]

    for value in (bad, [bad], {"a": (1, bad)}, Loose(values={"x": bad})):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical_json(value)


@pytest.mark.parametrize("bad", [{1: "a"}, {None: 1}, {1, 2}, b"bytes", object()])
def test_values_without_json_form_are_refused(bad: object) -> None:
    with pytest.raises(TypeError):
        canonical_json({"outer": bad})


def test_models_are_digested_by_content() -> None:
    class Inner(StrictModel):
        b: float
        a: tuple[int, ...] = ()

    class Outer(StrictModel):
        inner: Inner

    assert canonical_json([Outer(inner=Inner(b=1))]) == '[{"inner":{"a":[],"b":1.0}}]'


def test_file_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = b"0123456789abcdef" * 200_000
    (tmp_path / "big").write_bytes(data)
    assert digest_file(tmp_path / "big") == digest_bytes(data) == hashlib.sha256(data).hexdigest()
