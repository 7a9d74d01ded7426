"""Pretrained models on disk: where their files are, and what these hold, by content."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2vlm_pipeline.artifacts import UserError, digest_file, digest_json

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = "model.safetensors"
_WANTED = ("*.json", "*.safetensors")


def pretrained_folder(path: str, revision: str | None, what: str) -> Path:
    """The folder itself, or the local copy of a hub repository: settings and safetensors, nothing else.

    Raises:
        UserError: neither a folder nor a repository that can be reached.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if path.startswith(("/", ".", "~")):
        raise UserError(f"{what} {path}: no such folder; name one in the Hugging Face layout, or a hub id")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=list(_WANTED)))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{what} {path}: cannot be loaded ({first_line(error)}); name a folder in the Hugging Face "
            "layout, or a hub id while there is a network"
        ) from None


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON file of a pretrained model.

    Raises:
        UserError: it is missing, or not a JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: name a folder in the Hugging Face layout") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; fetch the model again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a JSON object; fetch the model again")
    return found


def encoder_config(folder: Path) -> Any:
    """An encoder's configuration in transformers' words.

    Raises:
        UserError: there is none, or none of a known model.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder {folder}: cannot be loaded ({first_line(error)}); name a folder in the Hugging Face "
            "layout"
        ) from None


def tower_settings(folder: Path) -> dict[str, Any]:
    """Settings of the vision tower as its file gives them, without what only says how it is run."""
    record = read_settings(folder / "config.json")
    skipped = ("_", "transformers_version", "dtype", "torch_dtype")
    settings = record.get("vision_config", record)
    return {name: value for name, value in settings.items() if not name.startswith(skipped)}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a model's weights.

    Raises:
        UserError: there are none, or one is missing.
    """
    index = folder / f"{_WEIGHTS}.index.json"
    names = {_WEIGHTS}
    if index.is_file():
        names = {Path(name).name for name in read_settings(index).get("weight_map", {}).values()}
    files = [folder / name for name in sorted(names)]
    missing = [path.name for path in files if not path.is_file()]
    if missing or not files:
        lacking = ", ".join(missing) or _WEIGHTS
        raise UserError(
            f"{folder} lacks {lacking}: only safetensors weights are loaded; fetch them, or name another "
            "folder"
        )
    return files


def stored_tensors(
    files: Iterable[Path], name_of: Callable[[str], str | None]
) -> Iterator[tuple[str, Tensor]]:
    """Tensors of safetensors files by the names that they are given; what is given none is not read.

    Raises:
        UserError: a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    for path in files:
        try:
            with safe_open(path, framework="pt") as opened:
                for stored in opened.keys():  # noqa: SIM118 (an opened file is no mapping)
                    name = name_of(stored)
                    if name is not None:
                        yield name, opened.get_tensor(stored)
        except SafetensorError as error:
            raise UserError(f"{path}: damaged ({first_line(error)}); fetch the model again") from None


def weights_digest(folder: Path) -> str:
    """Digest of a model's weights by content; a file is read once in a process, until it changes.

    Raises:
        UserError: as `weight_files`.
    """
    stats = [(path, path.stat()) for path in weight_files(folder)]
    return digest_json([_digest_of(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats])


@lru_cache(maxsize=256)
def _digest_of(path: Path, size: int, mtime_ns: int) -> str:
    return digest_file(path)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Holds back progress bars and reports of unused weights: taking one tower of a model is what we want."""
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.ERROR)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


def first_line(error: Exception) -> str:
    """What an error says, as far as it fits on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
