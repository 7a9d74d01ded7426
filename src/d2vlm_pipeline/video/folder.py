"""A folder of videos as a run sees it: rendered, unpacked, or somebody's own, which is only read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json, track
from d2vlm_pipeline.video.archive import Limits, is_archive, open_archive
from d2vlm_pipeline.video.naming import is_video, name_fault, shown
from d2vlm_pipeline.video.source import VideoError, VideoReason, video_error

logger = logging.getLogger(__name__)

LISTING = "FOLDER.json"
"""Beside unpacked videos, or alone: which videos there are, and where."""


class RefusedFile(StrictModel):
    """A file that is not looked at; `detail` is the line to read."""

    name: str
    code: VideoReason
    detail: str


class VideoFolder(StrictModel):
    """Videos below a root.

    Attributes:
        root: None where the videos lie beside this listing.
        names: relative to the root, sorted.
        refused: links that leave the root, members of an archive that would land outside.
        others: how many other files there are; they are left alone.
    """

    root: str | None
    names: tuple[str, ...]
    refused: tuple[RefusedFile, ...] = ()
    others: int = 0


@dataclass(frozen=True)
class ClipFolder:
    """A folder of video files, the names in it, sorted, and what was refused beforehand."""

    root: Path
    names: tuple[str, ...]
    refused: tuple[RefusedFile, ...] = ()


@dataclass(frozen=True)
class VideoArchive:
    """An archive that is unpacked while it is saved."""

    path: Path
    limits: Limits


def open_videos(place: str, max_members: int, max_unpacked_mb: int) -> VideoFolder | VideoArchive:
    """What a parameter names: a folder, or an archive to unpack.

    Raises:
        UserError: as `find_videos`.
    """
    path = Path(place).expanduser()
    if is_archive(path) and not path.is_dir():
        return VideoArchive(path, Limits(max_members, max_unpacked_mb))
    return find_videos(path)


def find_videos(root: Path) -> VideoFolder:
    """Every video below a folder, by extension; nothing is opened.

    Folders that are links are not entered: one that leads out of the root is refused by name.

    Raises:
        UserError: no such folder, or no video in it.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; set data.videos to the folder of your videos")
    root = root.resolve()
    names, refused, others = [], [], 0
    for folder, subfolders, files in os.walk(root, followlinks=False):
        below = Path(folder).relative_to(root)
        links = sorted(name for name in subfolders if (Path(folder) / name).is_symlink())
        refused += [_refused_link(below / name) for name in links if _leaves(root, Path(folder) / name)]
        for name in files:
            path = (below / name).as_posix()
            if not is_video(name) or name.startswith("."):
                others += 1
            elif fault := name_fault(path):
                refused.append(_refusal(shown(path), fault.code, fault.detail))
            else:
                names.append(path)
    if not names:
        raise UserError(f"{root}: no video in it ({others} other files); set data.videos")
    logger.info("%d videos in %s; %d other files are left alone", len(names), root, others)
    return VideoFolder(root=str(root), names=tuple(sorted(names)), refused=_sorted(refused), others=others)


def save_videos(clips: Iterable[tuple[str, bytes]] | VideoFolder | VideoArchive, directory: Path) -> None:
    """Write rendered clips as they arrive, unpack an archive, or note where a folder lies.

    The caller publishes the directory when all is there.

    Raises:
        UserError: the archive is missing, damaged or too large; the folder is the one being written.
    """
    if isinstance(clips, VideoArchive):
        clips = _unpacked(clips, directory)
    if isinstance(clips, VideoFolder):
        _refuse_own(clips, directory)
        (directory / LISTING).write_text(canonical_json(clips), encoding="utf-8")
        return
    for name, data in clips:
        (directory / name).write_bytes(data)


def load_videos(directory: Path) -> ClipFolder:
    """The folder's videos, without reading them.

    Raises:
        UserError: a folder elsewhere is no longer there.
    """
    listing = directory / LISTING
    if not listing.is_file():
        return ClipFolder(directory, tuple(sorted(path.name for path in directory.glob("*.mp4"))))
    folder = VideoFolder.model_validate_json(listing.read_bytes())
    root = directory if folder.root is None else Path(folder.root)
    if not root.is_dir():
        raise UserError(f"{root}: the video folder is gone; put it back or set data.videos")
    return ClipFolder(root, folder.names, folder.refused)


def linked_videos(directory: Path) -> list[Path]:
    """The videos of a folder elsewhere that a saved listing names; none where they lie beside it."""
    listing = directory / LISTING
    if not listing.is_file():
        return []
    folder = VideoFolder.model_validate_json(listing.read_bytes())
    return [] if folder.root is None else [Path(folder.root) / name for name in folder.names]


def _refuse_own(folder: VideoFolder, directory: Path) -> None:
    """Saving replaces what an earlier run had put there, which may be the very videos.

    Raises:
        UserError: the folder is the one that is being written, or lies in it.
    """
    siblings = directory.resolve().parent
    if folder.root is None or not Path(folder.root).is_relative_to(siblings):
        return
    # `directory` is temporary, and its name ends with that of what it is going to be.
    first = Path(folder.root).relative_to(siblings).parts[:1]
    if first and directory.name.endswith(f".{first[0]}"):
        raise UserError(f"{folder.root}: runs replace this folder; move the videos elsewhere")


def _unpacked(archive: VideoArchive, directory: Path) -> VideoFolder:
    names, refused, others = [], [], 0
    with open_archive(archive.path, archive.limits) as members:
        for member in track(members, "unpack videos", unit="file"):
            if member.code is not None or member.copy_to is None:
                refused.append(_refusal(member.name, member.code or "unreadable", member.detail))
            elif not is_video(member.name):
                others += 1
            elif fault := _unplaced(directory, member.name):
                refused.append(_refusal(member.name, "bad_name", fault))
            else:
                try:
                    member.copy_to(directory / member.name)
                    names.append(member.name)
                except VideoError as error:
                    refused.append(RefusedFile(name=member.name, code=error.code, detail=error.message))
    if not names:
        raise UserError(f"{archive.path}: no video in it ({others} other files); set data.videos")
    return VideoFolder(root=None, names=tuple(sorted(names)), refused=tuple(refused), others=others)


def _unplaced(directory: Path, name: str) -> str | None:
    """Make the folders of a member; why they cannot be made, None where they are."""
    path = directory / name
    if name_fault(name) or not path.resolve().is_relative_to(directory.resolve()):
        raise AssertionError(f"{name}: a refused name came to be unpacked")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return "another member has the same place" if path.exists() else None
    except OSError as error:  # a file of the name of the folder, a name that is too long
        return error.strerror or type(error).__name__


def _sorted(refused: Iterable[RefusedFile]) -> tuple[RefusedFile, ...]:
    return tuple(sorted(refused, key=lambda file: file.name))


def _leaves(root: Path, path: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle lead nowhere
        return False


def _refused_link(path: Path) -> RefusedFile:
    return _refusal(path.as_posix(), "outside_root", "a link to a folder elsewhere, which is not entered")


def _refusal(name: str, code: VideoReason, detail: str) -> RefusedFile:
    return RefusedFile(name=name, code=code, detail=str(video_error(code, name or "''", detail)))
