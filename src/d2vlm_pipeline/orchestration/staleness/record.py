"""What a node was made of when it last ran to its end: one small file per node, beside the data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts import (
    StrictModel,
    UserError,
    canonical_json,
    digest_bytes,
    digest_json,
    verify,
    write_text_atomic,
)

FOLDER = ".records"
"""Below the data root."""

_NAME = re.compile(r"[\w.-]+")


class Definition(StrictModel):
    """A node as it is written and configured, before any data.

    Attributes:
        function: dotted name.
        bound: arguments that are bound to the function.
        inputs: names, in order.
        outputs: names, in order.
        code: digest by file of the project that the function, the datasets and their guards rest on.
        packages: version by name of what those files import from elsewhere.
        parameters: value by dotted key.
        entries: catalog entries of inputs and outputs, by name.
        suites: digest by path of files that guards of the outputs read.
    """

    function: str
    bound: list[str]
    inputs: list[str]
    outputs: list[str]
    code: dict[str, str]
    packages: dict[str, str]
    parameters: dict[str, Any]
    entries: dict[str, Any]
    suites: dict[str, str]


class Surroundings(StrictModel):
    """What a node finds when it runs: digests, None of what is not there.

    Attributes:
        files: of what parameters name, by key.
        inputs: of inputs that are no parameters, by name; of one that is handed on in memory, of its making.
        outside: state of what the node reads and changes beside the catalog.
    """

    files: dict[str, str | None]
    inputs: dict[str, str | None]
    outside: dict[str, str | None]


class Record(StrictModel):
    """How the outputs that a node left were made.

    Attributes:
        outputs: digests by name; None of an output that the node left as it was (`LeaveAsIs`).
    """

    form: Literal[1] = Field(default=1, alias="schema")
    node: str
    definition: Definition
    surroundings: Surroundings
    outputs: dict[str, str | None]

    def save(self, folder: Path) -> None:
        """Write it, whole."""
        text = canonical_json(self.model_dump(mode="json", by_alias=True))
        write_text_atomic(record_path(folder, self.node), text + "\n")


def find_record(folder: Path, node: str) -> Record | None:
    """The record of a node; None where there is none, or none that is whole and readable."""
    place = record_path(folder, node)
    if not place.is_file():
        return None
    try:
        verify(place)
        return Record.model_validate_json(place.read_bytes())
    except (UserError, ValidationError):
        return None


def making(definition: Definition, surroundings: Surroundings) -> str:
    """Digest of what a node makes of what: stands for outputs that are handed on in memory."""
    return digest_json({"definition": definition, "surroundings": surroundings})


def record_path(folder: Path, node: str) -> Path:
    """Where the record of a node lies, in the folder of all of them."""
    # A node without a name is called by its function and datasets.
    name = node if _NAME.fullmatch(node) else digest_bytes(node.encode())[:16]
    return folder / f"{name}.json"
