"""Annotation files in archives."""

import zipfile
from pathlib import Path

import pytest

from d2vlm_pipeline.annotations.archives import opened_file
from d2vlm_pipeline.artifacts import UserError


def archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("__", "/"), text)
    return path


def test_a_member_is_named_behind_two_colons(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", train="one", sub__test="two")
    with opened_file(f"{path}::sub/test", 1) as found:
        assert found.read_text() == "two"
    assert not found.exists()


def test_a_leading_dot_is_no_difference(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", train="one", test="two")
    with opened_file(f"{path}::./test", 1) as found:
        assert found.read_text() == "two"


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    with opened_file(str(archive(tmp_path / "x.zip", train="one")), 1) as found:
        assert found.read_text() == "one"


@pytest.mark.parametrize("wanted", ["", "::nobody"])
def test_otherwise_the_members_are_listed(tmp_path: Path, wanted: str) -> None:
    path = archive(tmp_path / "x.zip", train="one", test="two")
    with pytest.raises(UserError, match="it holds train, test"), opened_file(f"{path}{wanted}", 1):
        pass


def test_a_slip_is_refused_even_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("../labels", "out")
    with pytest.raises(UserError, match="leads out"), opened_file(f"{path}::../labels", 1):
        pass


def test_a_huge_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", train="x" * (2 << 20))
    with pytest.raises(UserError, match="max_file_mb=1"), opened_file(str(path), 1):
        pass


def test_a_plain_file_is_opened_as_it_is(tmp_path: Path) -> None:
    with opened_file(str(tmp_path / "labels.txt"), 1) as found:
        assert found == tmp_path / "labels.txt"
