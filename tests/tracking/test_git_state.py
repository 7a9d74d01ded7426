"""What is said of repositories in every state that they can be in."""

import os
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import digest_bytes
from d2vlm_pipeline.tracking import git_state as module
from d2vlm_pipeline.tracking.git_state import LeftOut, git_state
from tracking.repositories import committed, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.kedro]\n")
    (root / "code.py").write_text("RATE = 1\n")
    committed(root)
    return root


def applied(root: Path, patch: bytes, place: Path) -> Path:
    """A clone of the commit with the patch."""
    git(root.parent, "clone", "--quiet", str(root), str(place))
    (place / "tree.patch").write_bytes(patch)
    git(place, "apply", "--binary", "tree.patch")
    (place / "tree.patch").unlink()
    return place


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    state, patch = git_state(repository)
    assert state.is_clean and patch == b""
    assert state.commit == git(repository, "rev-parse", "HEAD")
    assert (state.branch, state.folder, state.note) == ("main", "", None)


def test_a_patch_holds_all_that_was_changed_added_and_removed(repository: Path, tmp_path: Path) -> None:
    (repository / "code.py").unlink()
    (repository / "staged.py").write_text("A = 1\n")
    git(repository, "add", "staged.py")
    (repository / "staged.py").write_text("A = 2\n")
    (repository / "new and ümlaut.bin").write_bytes(bytes(range(256)))
    (repository / "empty.txt").touch()
    (repository / "data").mkdir()
    (repository / "data/ignored.txt").write_text("big")
    before = git(repository, "status", "--porcelain")
    state, patch = git_state(repository)
    assert not state.is_clean and state.patch == digest_bytes(patch) and state.patch_bytes == len(patch)
    place = applied(repository, patch, tmp_path / "clone")
    assert sorted(path.name for path in place.iterdir()) == [
        *(".git", ".gitignore", "empty.txt", "new and ümlaut.bin", "pyproject.toml", "staged.py")
    ]
    assert (place / "staged.py").read_text() == "A = 2\n"
    assert (place / "new and ümlaut.bin").read_bytes() == bytes(range(256))
    assert git(repository, "status", "--porcelain") == before


def test_the_same_tree_gives_the_same_patch_whatever_a_person_has_set(repository: Path) -> None:
    (repository / "code.py").write_text("RATE = 2\n")
    _, expected = git_state(repository)
    for key in ("diff.noprefix", "diff.mnemonicPrefix", "color.diff"):
        git(repository, "config", key, "always" if key == "color.diff" else "true")
    assert git_state(repository)[1] == expected


def test_a_change_of_the_same_length_in_the_same_second_is_seen(repository: Path) -> None:
    git(repository, "config", "core.trustctime", "false")  # in the same second it would be the same
    code, index = repository / "code.py", repository / ".git/index"
    then_s = code.stat().st_mtime - 100.0
    os.utime(code, (then_s, then_s))
    git(repository, "add", "code.py")
    before = code.read_text()
    code.write_text(before[::-1])
    for path in (code, index):  # all that git goes by before it looks inside
        os.utime(path, (then_s, then_s))
    assert git_state(repository)[1] != b""


def test_a_folder_below_the_root_counts_the_whole_repository(tmp_path: Path) -> None:
    project = tmp_path / "apps/vlm"
    project.mkdir(parents=True)
    (project / "pyproject.toml").touch()
    committed(tmp_path)
    (tmp_path / "shared.py").write_text("A = 1\n")
    state, patch = git_state(project)
    assert state.folder == "apps/vlm" and b"shared.py" in patch


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    state, _ = git_state(repository)
    assert state.branch is None and state.commit is not None


def test_without_a_repository_that_is_said(tmp_path: Path) -> None:
    state, patch = git_state(tmp_path)
    assert state.commit is None and patch == b"" and not state.is_clean
    assert state.note is not None and "not a git repository" in state.note


def test_a_project_that_a_repository_ignores_is_in_none(repository: Path) -> None:
    inner = repository / "data/copy"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").touch()
    state, _ = git_state(inner)
    assert state.commit is None and state.note == "the git repository project ignores this project"


def test_a_repository_without_commits_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert git_state(tmp_path)[0].note == "no commit has been made yet"


def test_without_git_that_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository)[0].note == "git is not installed"


def test_a_hook_s_environment_does_not_lead_to_another_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = git_state(repository)[0]
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(repository)[0] == expected


def test_large_files_and_secrets_are_left_out_by_name(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 100)
    (repository / "code.py").write_text("#" * 101)
    (repository / "conf/credentials.yml").write_text("key: abc\n")
    (repository / "conf/mlflow.yml").write_text("uri: postgresql://me:hunter2@host/db\n")
    (repository / "signing.pem").write_text("----\n")
    (repository / "small.py").write_text("A = 1\n")
    os.makedirs(repository / "nested")
    git(repository / "nested", "init", "--quiet")
    state, patch = git_state(repository)
    assert b"small.py" in patch
    assert not any(word in patch for word in (b"hunter2", b"abc", b"----\n", b"###"))
    secret = "its name says that it may hold a secret"
    assert state.left_out == [
        LeftOut(path="code.py", reason="101 bytes: larger than 0 MiB"),
        LeftOut(path="conf/credentials.yml", reason=secret),
        LeftOut(path="conf/mlflow.yml", reason="an address in it holds a password"),
        LeftOut(path="nested/", reason="a git repository of its own"),
        LeftOut(path="signing.pem", reason=secret),
    ]
    assert not state.is_clean


def test_a_patch_is_bounded_as_a_whole(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATCH_BYTES", 10)
    for name in ("a", "b"):
        (repository / name).write_text("x" * 6)
    state, patch = git_state(repository)
    assert [left.path for left in state.left_out] == ["b"] and b"b/a" in patch
