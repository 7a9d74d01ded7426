"""Keys that sign, and keys that are trusted."""

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.keys import (
    KEY_VARIABLE,
    TRUST_VARIABLE,
    Keyring,
    find_signing_key,
    fingerprint,
    signing_key,
    trusted_keys,
)

FOREIGN = "ed25519:" + base64.b64encode(bytes(range(32))).decode()


def pem(key=None) -> bytes:
    return (key or Ed25519PrivateKey.generate()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_the_first_use_makes_a_key_that_only_its_owner_may_read(tmp_path, caplog):
    ring = Keyring(key_file=tmp_path / "conf/local/signing_key.pem")
    assert find_signing_key(ring, {}) is None
    made = signing_key(ring, {})
    assert made.public == signing_key(ring, {}).public
    assert ring.key_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in ring.key_file.parent.iterdir()] == ["signing_key.pem"]
    (line,) = caplog.messages
    assert str(ring.key_file) in line and made.public in line
    assert b"PRIVATE" in ring.key_file.read_bytes() and "PRIVATE" not in line


def test_the_environment_comes_before_the_file_as_text_or_as_a_path(tmp_path):
    ring = Keyring(key_file=tmp_path / "own.pem")
    own = signing_key(ring, {})
    text = pem().decode()
    other = tmp_path / "other.pem"
    other.write_text(text)
    other.chmod(0o600)
    by_text = signing_key(ring, {KEY_VARIABLE: text})
    assert by_text.public == signing_key(ring, {KEY_VARIABLE: str(other)}).public != own.public


def test_without_a_place_for_a_key_the_variable_is_named():
    with pytest.raises(UserError, match=f"no key to sign with: set {KEY_VARIABLE}"):
        signing_key(Keyring(), {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no key", "not a private key that can be read"),
        (pem(generate_private_key(SECP256R1())), "a private key of another kind"),
        (pem().replace(b"MC4CAQ", b"MC4CAA"), "name a PEM file of an ed25519 private key"),
    ],
)
def test_a_file_that_holds_no_ed25519_key_is_refused_without_quoting_it(tmp_path: Path, content, said):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match=said) as error:
        signing_key(Keyring(key_file=path), {})
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert content.decode().splitlines()[-1] not in str(error.value)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    ring = Keyring(key_file=tmp_path / "key.pem")
    signing_key(ring, {})
    ring.key_file.chmod(0o644)
    with pytest.raises(UserError, match=r"mode 644\); chmod 600 it"):
        signing_key(ring, {})


def test_a_key_file_that_the_environment_names_must_be_there(tmp_path):
    with pytest.raises(UserError, match=r"absent\.pem: cannot be read as a signing key"):
        signing_key(Keyring(), {KEY_VARIABLE: str(tmp_path / "absent.pem")})
    assert list(tmp_path.iterdir()) == []


def test_trusted_are_the_named_keys_and_one_s_own(tmp_path):
    ring = Keyring(key_file=tmp_path / "key.pem", trusted=(FOREIGN,))
    assert trusted_keys(ring, {}) == {FOREIGN}
    own = signing_key(ring, {}).public
    more = "ed25519:" + base64.b64encode(bytes(32)).decode()
    assert trusted_keys(ring, {TRUST_VARIABLE: f" {more},\n{FOREIGN}"}) == {FOREIGN, own, more}


@pytest.mark.parametrize("key", ["", "rsa:AAAA", "ed25519:AAAA", "ed25519:not base64", FOREIGN[8:]])
def test_a_malformed_public_key_is_refused(key):
    with pytest.raises(ValueError, match="a public key is ed25519:"):
        Keyring(trusted=(key,))
    if key:
        with pytest.raises(UserError, match=rf"{TRUST_VARIABLE}: a public key is .*; mend the variable"):
            trusted_keys(Keyring(), {TRUST_VARIABLE: key.replace(" ", "_")})


def test_fingerprints_tell_keys_apart():
    assert fingerprint(FOREIGN) == fingerprint(FOREIGN) != fingerprint("ed25519:" + "A" * 43 + "=")
    assert len(fingerprint(FOREIGN)) == 16


def test_two_processes_that_make_the_key_at_once_end_up_with_one(tmp_path):
    from d2vlm_pipeline.registry import keys

    ring = Keyring(key_file=tmp_path / "key.pem")
    keys._make(ring.key_file)
    first = signing_key(ring, {})
    keys._make(ring.key_file)
    assert signing_key(ring, {}).public == first.public
    assert os.listdir(tmp_path) == ["key.pem"]
