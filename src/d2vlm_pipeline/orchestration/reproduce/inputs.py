"""What a run read and did not make, to be linked into the checkout once it is known to be the same."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError, marker_path
from d2vlm_pipeline.orchestration.staleness.content import Contents
from d2vlm_pipeline.orchestration.staleness.plan import Place, digest_of
from d2vlm_pipeline.tracking.lineage import DataDigest, Lineage


@dataclass(frozen=True)
class Link:
    """A file or folder to be had in the checkout as it lies in the project."""

    source: Path
    target: Path

    def make(self) -> None:
        """Link every file, and a file's completion marker, where the disk allows it; else copy.

        Nothing of this project writes into a file that is there.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        if self.source.is_dir():
            shutil.copytree(self.source, self.target, symlinks=True, copy_function=_link_file)
            return
        _link_file(self.source, self.target)
        if (marker := marker_path(self.source)).is_file():
            _link_file(marker, marker_path(self.target))


def linked_inputs(
    lineage: Lineage, root: Path, contents: Contents, targets: Mapping[str, Place]
) -> list[Link]:
    """Links of what the run read and did not make, each known to be the same.

    Args:
        lineage: of the run.
        root: the project that has the inputs.
        contents: digests of what lies there.
        targets: where inputs lie in the checkout, by name.

    Raises:
        UserError: an input is not what it was.
    """
    links = []
    for name, recorded in lineage.inputs.items():
        if recorded.digest is None or name not in targets:
            continue  # there was none then, and there is none in the checkout
        target = targets[name]
        source = Place(root / recorded.path, target.is_raw, target.links)
        _require_same(f"input {name}", recorded, digest_of(source, contents), "`dvc checkout` may have it")
        links.append(Link(source.path, target.path))
    contents.save()
    return links


def linked_files(lineage: Lineage, root: Path, contents: Contents, project: Path) -> list[Link]:
    """The same of files that parameters name by a path below the project; others lie where they lay.

    Raises:
        UserError: one of them is not what it was.
    """
    links = []
    for key, recorded in lineage.files.items():
        source, target = root / recorded.path, project / recorded.path
        found = contents.of(source) if source.exists() else None
        _require_same(f"what {key} names", recorded, found, "bring it back")
        if source != target:
            links.append(Link(source, target))
    return links


def _require_same(what: str, recorded: DataDigest, found: str | None, mend: str) -> None:
    if found is None:
        raise UserError(f"{what} is gone: {recorded.path}; {mend}")
    if found != recorded.digest:
        raise UserError(
            f"{what} has changed since: {recorded.path}; {mend}, or reproduce the run that made it"
        )


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copy2(source, target, follow_symlinks=False)
