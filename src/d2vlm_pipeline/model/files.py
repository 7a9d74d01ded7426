"""Files of a model directory; what cannot be read is named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason

_Record = TypeVar("_Record", bound=StrictModel)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        UserError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); run the step that makes it again") from None
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: it is missing or malformed.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: {error}") from None
    return found


def read_record(path: Path, record: type[_Record]) -> _Record:
    """A record of that type from a JSON file.

    Raises:
        UserError: it is missing or malformed.
    """
    try:
        return record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except ValidationError as error:
        raise UserError(f"{path}: {validation_reason(error)}") from None


def _missing(path: Path) -> UserError:
    return UserError(f"{path} is missing: this is not a model directory")
