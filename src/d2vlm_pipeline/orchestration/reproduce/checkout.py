"""The code of a run in a folder of its own: a clone that borrows objects, at the commit, with the patch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.git_state import GitState, without_foreign

_HOW = ("-c", "core.autocrlf=false", "-c", "advice.detachedHead=false")


def check_out(project: Path, git: GitState, patch: bytes, into: Path) -> Path:
    """The project as it stood; the repository that it comes from is left as it is.

    Args:
        project: a folder of the same repository.
        git: where the run stood.
        patch: of what its files said beyond the commit.
        into: a folder that is not there yet, or empty.

    Returns:
        The project's folder in the checkout.

    Raises:
        UserError: the folder is taken, the repository has no such commit, or the patch does not fit.
    """
    if into.exists() and any(into.iterdir()):
        raise UserError(f"{into} is not empty; remove it, or name another folder with --into")
    if git.commit is None:
        raise UserError(f"no commit was recorded: {git.note}")
    branch = f" (of branch {git.branch})" if git.branch else ""
    known = _git(project, "cat-file", "-e", f"{git.commit}^{{commit}}")
    if known.returncode:
        raise UserError(f"commit {git.commit}{branch} is not in this repository; fetch it")
    top = _git(project, "rev-parse", "--show-toplevel").stdout.decode().strip()
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        _require(_git(project, "clone", "--quiet", "--shared", "--no-checkout", top, str(into)), "git clone")
        _require(_git(into, "checkout", "--quiet", "--detach", git.commit), "git checkout")
        if patch:
            applied = _git(into, "apply", "--binary", "--whitespace=nowarn", "-", given=patch)
            _require(applied, "the recorded patch")
    except UserError:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return into / git.folder


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *_HOW, *arguments]
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False, env=without_foreign())
    except FileNotFoundError:
        raise UserError("git is not installed; a run is rebuilt from its commit") from None


def _require(done: subprocess.CompletedProcess[bytes], what: str) -> None:
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"{what}: {said[-1] if said else 'failed'}")
