"""Who signs, and whose signature counts: ed25519 keys from the environment or from `conf/local`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, new_temporary, validation_reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LOG = logging.getLogger(__name__)

KEY_VARIABLE = "D2VLM_SIGNING_KEY"
TRUST_VARIABLE = "D2VLM_TRUSTED_KEYS"
_PREFIX = "ed25519:"
_RAW_BYTES = 32
_PEM = "-----BEGIN"


def _well_formed(text: str) -> str:
    """A public key as it is written: `ed25519:` and 32 bytes in base64."""
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if not text.startswith(_PREFIX) or len(raw) != _RAW_BYTES:
        raise ValueError(f"a public key is {_PREFIX} and {_RAW_BYTES} bytes in base64")
    return text


PublicKey = Annotated[str, AfterValidator(_well_formed)]


class Keyring(StrictModel):
    """Where keys are found. What the environment variables name is added to it; empty, they are all there is.

    Attributes:
        key_file: PEM file of the key that signs; made at the first promotion where it is missing.
        trusted: public keys, beside one's own, whose signatures count.
    """

    key_file: Path | None = None
    trusted: tuple[PublicKey, ...] = ()


@dataclass(frozen=True)
class SigningKey:
    """A private key and the public one that proves its signatures."""

    private: Ed25519PrivateKey
    public: str


def fingerprint(public: str) -> str:
    """Sixteen digits that tell keys apart: the start of the SHA-256 of the key's 32 bytes."""
    raw = base64.b64decode(public.removeprefix(_PREFIX))
    return hashlib.sha256(raw).hexdigest()[:16]


def signing_key(keyring: Keyring, environment: Mapping[str, str] = os.environ) -> SigningKey:
    """The key to sign with; the first promotion of a project makes it.

    Raises:
        UserError: the key cannot be read, or there is none and no place to make one.
    """
    if (found := find_signing_key(keyring, environment)) is not None:
        return found
    if keyring.key_file is None:
        raise UserError(f"no key to sign with: set {KEY_VARIABLE} to a PEM file of an ed25519 private key")
    _make(keyring.key_file)
    made = _read_file(keyring.key_file)
    _LOG.warning(
        "%s: made a key to sign models with; others trust it by its public half in registry.trusted_keys: %s",
        keyring.key_file,
        made.public,
    )
    return made


def find_signing_key(keyring: Keyring, environment: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The key to sign with; None where there is none yet. Errors of `signing_key`."""
    given = environment.get(KEY_VARIABLE, "").strip()
    if given.startswith(_PEM):
        return _read(given.encode(), KEY_VARIABLE)
    if given:
        return _read_file(Path(given))
    if keyring.key_file is not None and keyring.key_file.exists():
        return _read_file(keyring.key_file)
    return None


def trusted_keys(keyring: Keyring, environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Public keys whose signatures count: those of the configuration, of the environment, and one's own.

    Raises:
        UserError: a key of the environment is malformed, or one's own cannot be read.
    """
    named = environment.get(TRUST_VARIABLE, "").replace(",", " ").split()
    for key in named:
        try:
            TypeAdapter(PublicKey).validate_python(key)
        except ValidationError as error:
            raise UserError(f"{TRUST_VARIABLE}: {validation_reason(error)}; mend the variable") from None
    own = find_signing_key(keyring, environment)
    return frozenset([*keyring.trusted, *named, *([] if own is None else [own.public])])


def public_half(key: str) -> Ed25519PublicKey:
    """A public key to check signatures with."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix(_PREFIX)))


def _read_file(path: Path) -> SigningKey:
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read as a signing key ({error.strerror}); name a PEM file"
        ) from None
    if mode & 0o077:
        raise UserError(f"{path}: a signing key that others may read (mode {mode & 0o777:o}); chmod 600 it")
    return _read(data, str(path))


def _read(pem: bytes, source: str) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    mend = "name a PEM file of an ed25519 private key without password"
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the parser says may quote the key.
        raise UserError(f"{source}: not a private key that can be read; {mend}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UserError(f"{source}: a private key of another kind; {mend}")
    raw = private.public_key().public_bytes_raw()
    return SigningKey(private, _PREFIX + base64.b64encode(raw).decode())


def _make(path: Path) -> None:
    """Write a new key that its owner alone may read; one that another process made meanwhile stays."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    aside = new_temporary(path)
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
