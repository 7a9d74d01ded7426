"""A git repository with DVC in it, used by its command lines: nothing is written outside its folder."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Repository:
    """A clone of the project.

    Attributes:
        root: its folder.
        source: further folders to import from.
        variables: further environment variables.
    """

    root: Path
    source: tuple[Path, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        return self._call("git", *arguments)

    def dvc(self, *arguments: str) -> str:
        """Output of a DVC command that has to succeed."""
        return self._call(sys.executable, "-m", "dvc", *arguments)

    def kedro(self, *arguments: str) -> str:
        return self._call(sys.executable, "-m", "kedro", *arguments)

    def begin(self) -> None:
        """Make the folder a repository of its own, with this project's settings of DVC."""
        for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
            (self.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        self.git("init", "--quiet", "--initial-branch", "main")

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "As it is")

    def clone(self, root: Path) -> "Repository":
        """What someone else gets: what git holds."""
        self.git("clone", "--quiet", str(self.root), str(root))
        return Repository(root, tuple(self._moved(path, root) for path in self.source), self.variables)

    def _moved(self, path: Path, root: Path) -> Path:
        return root / path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def _call(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        ours = ("GIT_", "KEDRO_", "DVC_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        paths = [*map(str, self.source), str(ROOT / "src")]
        people = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        return {
            **kept,
            **dict.fromkeys(people, "someone@example.org"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HOME": str(self.root / ".dvc" / "tmp" / "home"),
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc" / "tmp" / "site"),
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(paths),
            **self.variables,
        }
