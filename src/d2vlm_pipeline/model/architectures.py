"""What is published of a checkpoint's architecture: enough to build it without its weights or a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import PositiveInt, ValidationError
from transformers import AutoConfig, PretrainedConfig

from d2vlm_pipeline.artifacts import StrictModel, UserError, validation_reason
from d2vlm_pipeline.features.pretrained import first_line

PUBLISHED = Path(__file__).parent / "assets" / "architectures"

# What tensors there are follows from these; anything else may differ between two releases of one checkpoint.
_SIZES = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "depth",
    "num_attention_heads",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "patch_size",
    "image_size",
)
_PARTS = ("text_config", "vision_config")


class Architecture(StrictModel):
    """The configuration of a checkpoint as its repository publishes it, and its number of parameters."""

    hub_id: str
    revision: str
    parameters: PositiveInt
    config: dict[str, Any]

    def build(self) -> PretrainedConfig:
        """The configuration in transformers' words."""
        settings = dict(self.config)
        return AutoConfig.for_model(settings.pop("model_type"), **settings)


def published_architectures() -> Iterator[Architecture]:
    """Those that come with the package."""
    for path in sorted(PUBLISHED.glob("*.json")):
        yield read_architecture(path)


def read_architecture(path: Path) -> Architecture:
    """Read a file like those in `assets/architectures`.

    Raises:
        UserError: it is missing or malformed.
    """
    try:
        return Architecture.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"architecture file {path} is missing; mend the path or leave it out") from None
    except ValidationError as error:
        raise UserError(f"{path}: {validation_reason(error)}") from None


def find_architecture(path: str, revision: str | None, file: str | None = None) -> PretrainedConfig:
    """Configuration of a checkpoint, never from a network.

    It is read from the folder ``path``, or from what the hub left on this machine, else from ``file``, else
    from what comes with the package.

    Raises:
        UserError: it is nowhere, or what was fetched is not what is written down.
    """
    written = _written(path, file)
    found = _fetched(path, revision)
    if found is not None and written is not None:
        _check(path, written, found)
    known = found or written
    if known is None:
        raise UserError(
            f"{path}: its architecture is not on this machine; name a file with it in the parameter "
            "`architecture`, a folder in `path`, or load the model once where there is a network"
        )
    return known


def check_as_written(path: str, file: str | None, text: PretrainedConfig) -> None:
    """Refuse a loaded language model that is another one than is written down for its path, if anything is.

    Raises:
        UserError: a size differs.
    """
    written = _written(path, file)
    if written is not None:
        _check(path, written.get_text_config(), text)


def _check(path: str, written: PretrainedConfig, found: PretrainedConfig) -> None:
    expected, given = _sizes(written), _sizes(found)
    for name in sorted(expected.keys() & given.keys()):
        if expected[name] != given[name]:
            raise UserError(
                f"{path}: {name} is {given[name]}, but the architecture written down for it says "
                f"{expected[name]}; mend the revision or the architecture file"
            )


def _written(path: str, file: str | None) -> PretrainedConfig | None:
    if file is not None:
        return read_architecture(Path(file)).build()
    known = [found for found in published_architectures() if found.hub_id == path]
    return known[0].build() if known else None


def _fetched(path: str, revision: str | None) -> PretrainedConfig | None:
    if Path(path).is_dir():
        try:
            return _load(path, None)
        except OSError as error:
            raise UserError(f"{path}: {first_line(error)}; fetch the model again") from None
    try:
        return _load(path, revision)
    except OSError:  # never fetched
        return None


def _load(path: str, revision: str | None) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(path, revision=revision, local_files_only=True)
    except ValueError as error:
        raise UserError(
            f"{path}: no configuration that can be read ({first_line(error)}); name a folder in the Hugging "
            "Face layout, or update transformers"
        ) from None


def _sizes(config: PretrainedConfig) -> dict[str, Any]:
    """Sizes by dotted name."""
    found: dict[str, Any] = {}
    settings = config.to_dict()
    for prefix, part in [("", settings), *((f"{name}.", settings.get(name) or {}) for name in _PARTS)]:
        found |= {f"{prefix}{name}": part[name] for name in _SIZES if name in part}
    return found
