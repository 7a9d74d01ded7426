"""Which code a project stands at: the commit, and what its files say beyond it, as a patch.

Nothing in the repository changes: what is new is compared through an index of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, digest_bytes
from d2vlm_pipeline.tracking.redact import redacted_text

FILE_BYTES = 1 << 20
"""A changed file that is larger is left out of a patch: such files are data."""

PATCH_BYTES = 16 << 20
"""So much of a patch is kept in all."""

_SECRET_NAME = re.compile(r"(^|/)(credentials[^/]*|\.env[^/]*|id_[a-z0-9]+|[^/]*\.(pem|key|p12))$")
_CONFIGURATION = "conf/"
# Of a repository that a hook of git, or a person, points at: the project's own is what is asked about.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
# A person's own settings of git change nothing of what a patch looks like.
_PLAIN = (
    *("-c", "core.quotePath=false", "-c", "core.fsmonitor=false", "-c", "diff.noprefix=false"),
    *("-c", "diff.mnemonicPrefix=false", "-c", "diff.relative=false", "-c", "core.autocrlf=false"),
)
_DIFF = ("diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv")


class LeftOut(StrictModel):
    """A changed file that the patch does not hold, by its path below the repository's root, and why."""

    path: str
    reason: str


class GitState(StrictModel):
    """What git says of a project.

    Attributes:
        commit: None where there is none; `note` says why.
        branch: None where none is checked out.
        folder: the project's, below the root of its repository; empty where it is the root.
        patch: digest of what the files say beyond the commit; None where they say the same.
        patch_bytes: its length.
        left_out: changed files that are not in it.
        note: what stands in the way of saying more.
    """

    commit: str | None = None
    branch: str | None = None
    folder: str = ""
    patch: str | None = None
    patch_bytes: int = 0
    left_out: list[LeftOut] = Field(default_factory=list)
    note: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether the files are those of the commit."""
        return self.commit is not None and self.patch is None and not self.left_out


class _GitError(Exception):
    """What git said when it failed."""


@dataclass(frozen=True)
class _Git:
    """Git, asked about one folder."""

    folder: Path
    index: Path | None = None

    def __call__(self, *arguments: str, given: bytes | None = None) -> bytes:
        own = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        index = {} if self.index is None else {"GIT_INDEX_FILE": str(self.index)}
        command = ["git", "-C", str(self.folder), *_PLAIN, *arguments]
        try:
            done = subprocess.run(
                command,
                input=given,
                capture_output=True,
                check=True,
                env={**without_foreign(), **own, **index},
            )
        except FileNotFoundError:
            raise _GitError("git is not installed") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise _GitError(said[0] if said else f"git {arguments[0]} failed") from None
        return done.stdout

    def line(self, *arguments: str) -> str:
        return self(*arguments).decode().strip()

    def names(self, *arguments: str) -> list[str]:
        return [os.fsdecode(name) for name in self(*arguments).split(b"\0") if name]


def without_foreign() -> dict[str, str]:
    """The environment for calls of git, without what would point them at another repository."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}


def git_state(root: Path, anchor: str = "pyproject.toml") -> tuple[GitState, bytes]:
    """Commit, branch and patch of a project.

    Args:
        root: the project's folder.
        anchor: a file of the project: where a repository around it ignores that, the project is in none.

    Returns:
        The state, and the patch that `git apply` takes at the repository's root; empty where there is none.
    """
    git = _Git(root)
    try:
        top = Path(git.line("rev-parse", "--show-toplevel"))
        if _is_ignored(git, anchor):
            return GitState(note=f"the git repository {top.name} ignores this project"), b""
        folder = git.line("rev-parse", "--show-prefix").rstrip("/")
        branch = git.line("branch", "--show-current") or None
        if not git.line("rev-list", "--max-count=1", "--all"):
            return GitState(branch=branch, folder=folder, note="no commit has been made yet"), b""
        commit = git.line("rev-parse", "--verify", "HEAD^{commit}")
        patch, left_out = _patch(_Git(top))
    except _GitError as error:
        return GitState(note=redacted_text(str(error))), b""
    digest = digest_bytes(patch) if patch else None
    state = GitState(
        commit=commit,
        branch=branch,
        folder=folder,
        patch=digest,
        patch_bytes=len(patch),
        left_out=left_out,
    )
    return state, patch


def _is_ignored(git: _Git, anchor: str) -> bool:
    try:
        git("check-ignore", "--quiet", anchor)
    except _GitError:
        return False
    return True


def _patch(git: _Git) -> tuple[bytes, list[LeftOut]]:
    """What tracked files, and new ones that are not ignored, say beyond the commit."""
    top = git.folder
    changed = git.names("diff", "HEAD", "--name-only", "--no-renames", "--no-ext-diff", "-z")
    new = git.names("ls-files", "--others", "--exclude-standard", "-z")
    if not changed and not new:
        return b"", []
    left_out = list(_left_out(top, [*changed, *new]))
    skipped = {left.path for left in left_out}
    with TemporaryDirectory() as aside:
        index = Path(aside) / "index"
        # With its time, by which git tells files that it has to look into: those as young as the index.
        shutil.copy2(_index_of(git), index)
        own = _Git(top, index)
        wanted = [name for name in new if name not in skipped]
        if wanted:
            listed = b"\0".join(map(os.fsencode, wanted))
            # Not their content: with `--intent-to-add` nothing is written among the repository's objects.
            own("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul", given=listed)
        without = [f":(exclude,top,literal){name}" for name in changed if name in skipped]
        return own(*_DIFF, "--no-renames", "--", ".", *without), left_out


def _index_of(git: _Git) -> Path:
    place = Path(git.line("rev-parse", "--git-path", "index"))
    return place if place.is_absolute() else git.folder / place


def _left_out(top: Path, names: Iterable[str]) -> Iterator[LeftOut]:
    kept_bytes = 0
    for name in sorted(set(names)):
        path = top / name
        size = path.lstat().st_size if path.is_symlink() or path.is_file() else 0
        reason = _reason(path, name, size)
        if reason is None and kept_bytes + size > PATCH_BYTES:
            reason = f"the patch would be larger than {PATCH_BYTES >> 20} MiB"
        if reason is not None:
            yield LeftOut(path=name, reason=reason)
        else:
            kept_bytes += size


def _reason(path: Path, name: str, size: int) -> str | None:
    """Why a file is kept out of what is logged; None where it is not."""
    if name.endswith("/"):
        return "a git repository of its own"
    if _SECRET_NAME.search(name):
        return "its name says that it may hold a secret"
    if size > FILE_BYTES:
        return f"{size} bytes: larger than {FILE_BYTES >> 20} MiB"
    if _is_configuration(name) and path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
        if redacted_text(text) != text:
            return "an address in it holds a password"
    return None


def _is_configuration(name: str) -> bool:
    return f"/{_CONFIGURATION}" in f"/{name}"
