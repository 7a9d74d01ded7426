"""Git repositories of tests, with an identity and settings of their own."""

import os
import subprocess
from pathlib import Path

_OWN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_COMMITTER_NAME": "tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
}


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **_OWN},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def committed(folder: Path, ignored: str = "data/\nmlruns/\nbuild/\n") -> str:
    """Make a repository of a folder, with all that is in it committed; returns the commit."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".gitignore").write_text(ignored)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=begin")
    return git(folder, "rev-parse", "HEAD")
