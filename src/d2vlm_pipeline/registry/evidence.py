"""Signatures over records and over folders: what they cover cannot change by one byte unnoticed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import (
    MANIFEST_NAME,
    StrictModel,
    UserError,
    canonical_json,
    digest_file,
    digest_json,
    files_below,
    read_manifest,
    validation_reason,
)
from d2vlm_pipeline.registry.keys import TRUST_VARIABLE, PublicKey, SigningKey, fingerprint, public_half

SIGNATURE_NAME = "signature.json"
# MLflow writes this file beside a model that it has fetched by the name of a version.
_WRITTEN_BY_MLFLOW = frozenset({"registered_model_meta"})
_AGAIN = "promote the model again, or another version"


class ForeignKeyError(UserError):
    """Something is signed by a key that is not trusted."""


class Signature(StrictModel):
    """A detached signature.

    Attributes:
        key: the public key that proves it.
        value: 64 bytes in base64.
    """

    algorithm: Literal["ed25519"] = "ed25519"
    key: PublicKey
    value: str


class FolderContent(StrictModel):
    """All that a folder holds.

    Attributes:
        digest: of the model directory in it, as `versions.model_digest` gives it; None without one.
        files: SHA-256 of every file by its POSIX path.
    """

    digest: str | None
    files: dict[str, str]


class FolderSignature(FolderContent):
    """The file `signature.json` of a folder; of itself it says nothing.

    Attributes:
        signature: over the folder's content.
    """

    signature: Signature

    @property
    def content(self) -> FolderContent:
        """What was signed."""
        return FolderContent(digest=self.digest, files=self.files)


def sign(record: Any, key: SigningKey) -> Signature:
    """Sign the canonical JSON of a record."""
    return sign_bytes(canonical_json(record).encode(), key)


def check(record: Any, signature: Signature, trusted: Collection[str], source: str = "record") -> None:
    """Hold a record against its signature.

    Args:
        record: anything that has a canonical JSON.
        signature: as `sign` gave it.
        trusted: public keys whose signatures count.
        source: what it is about, for the error.

    Raises:
        UserError: the key is foreign, or the record is not what was signed.
    """
    check_bytes(canonical_json(record).encode(), signature, trusted, source)


def sign_bytes(data: bytes, key: SigningKey) -> Signature:
    """Sign bytes as they are."""
    return Signature(key=key.public, value=base64.b64encode(key.private.sign(data)).decode())


def check_bytes(data: bytes, signature: Signature, trusted: Collection[str], source: str) -> None:
    """As `check`, of bytes as they are."""
    from cryptography.exceptions import InvalidSignature

    if signature.key not in trusted:
        raise ForeignKeyError(
            f"{source}: signed by the foreign key {fingerprint(signature.key)}; if you trust it, add "
            f"{signature.key} to registry.trusted_keys in registry.yml or to {TRUST_VARIABLE}"
        )
    try:
        public_half(signature.key).verify(base64.b64decode(signature.value, validate=True), data)
    except (InvalidSignature, binascii.Error):
        raise UserError(
            f"{source}: changed after key {fingerprint(signature.key)} had signed it; {_AGAIN}"
        ) from None


def sign_folder(folder: Path, key: SigningKey) -> FolderSignature:
    """Write `signature.json` into a folder, over every file that is there.

    Raises:
        UserError: the folder holds a link or a special file, or more than one model directory.
    """
    path = folder / SIGNATURE_NAME
    path.unlink(missing_ok=True)
    model = model_in(folder)
    digest = None if model is None else digest_json(read_manifest(model))
    content = FolderContent(digest=digest, files=_digests(folder))
    signed = FolderSignature(**content.model_dump(), signature=sign(content, key))
    path.write_text(_text(signed), encoding="utf-8")
    return signed


def verify_folder(folder: Path, trusted: Collection[str], source: str | None = None) -> FolderSignature:
    """Hold every file of a folder against its `signature.json`.

    A file more is refused as well: whoever loads the folder might read it. (Python's own `__pycache__` is
    one: run the code of a model with `PYTHONDONTWRITEBYTECODE=1`, or from a copy.)

    Args:
        folder: as `sign_folder` left it, wherever it lies now.
        trusted: public keys whose signatures count.
        source: what it is about, for the error; the folder where not given.

    Raises:
        UserError: it is not signed or by a foreign key, or a file is changed, missing or one too many.
    """
    source = source or str(folder)
    signed = signed_content(folder, trusted, source)
    found = _digests(folder)
    for name in sorted(signed.files.keys() | found.keys()):
        if found.get(name) != signed.files.get(name):
            what = "missing" if name not in found else "changed" if name in signed.files else "not signed"
            raise UserError(f"{source}: {folder / name} is {what}; {_AGAIN}")
    return signed


def model_in(folder: Path) -> Path | None:
    """The model directory among the artifacts of an MLflow model; None where there is none.

    Raises:
        UserError: there are several.
    """
    found = sorted(folder.glob(f"artifacts/*/{MANIFEST_NAME}"))
    if len(found) > 1:
        raise UserError(f"{folder}: {len(found)} model directories where one can be signed for; pack one")
    return found[0].parent if found else None


def signed_content(folder: Path, trusted: Collection[str], source: str) -> FolderSignature:
    """What the signature of a folder covers; its files are not read. Errors of `verify_folder`."""
    signed = _signature_of(folder, source)
    check(signed.content, signed.signature, trusted, source)
    return signed


def parse_signature(data: bytes, source: str) -> Signature:
    """A detached signature from its file.

    Raises:
        UserError: it is malformed.
    """
    try:
        return Signature.model_validate_json(data)
    except ValidationError as error:
        raise UserError(f"{source}: {validation_reason(error)}; {_AGAIN}") from None


def _signature_of(folder: Path, source: str) -> FolderSignature:
    path = folder / SIGNATURE_NAME
    try:
        data = path.read_bytes()
        signed = FolderSignature.model_validate_json(data)
    except FileNotFoundError:
        raise UserError(
            f"{source}: not signed ({path} is missing); run `kedro run --pipelines promotion --force`"
        ) from None
    except ValidationError as error:
        raise UserError(f"{source}: {path}: {validation_reason(error)}; {_AGAIN}") from None
    if data != _text(signed).encode():
        raise UserError(f"{source}: {path} is changed; {_AGAIN}")
    return signed


def _digests(folder: Path) -> dict[str, str]:
    names = sorted(files_below(folder))
    return {
        name: digest_file(folder / name)
        for name in names
        if name not in {SIGNATURE_NAME, *_WRITTEN_BY_MLFLOW}
    }


def _text(signed: FolderSignature) -> str:
    return f"{canonical_json(signed)}\n"
