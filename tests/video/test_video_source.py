import os
import pickle
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.video import VIDEO_REASONS, VideoError, resolve_video
from d2vlm_pipeline.video.source import _MENDS, check_regular, video_error


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "a.mp4").write_bytes(b"x")
    (tmp_path / "root" / "sub" / "b.mp4").write_bytes(b"x")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["a.mp4", "sub/b.mp4"])
def test_names_below_the_root_resolve(root: Path, name: str) -> None:
    assert resolve_video(root, name) == (root / name).resolve()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "bad_name"),
        (" ", "bad_name"),
        ("a.mp4\0.txt", "bad_name"),
        ("http://host/a.mp4", "bad_name"),
        ("file:a.mp4", "bad_name"),
        ("concat:a.mp4|sub/b.mp4", "bad_name"),
        ("./a.mp4", "bad_name"),
        ("sub/../a.mp4", "bad_name"),
        ("sub//b.mp4", "bad_name"),
        ("../outside.mp4", "outside_root"),
        ("/etc/passwd", "outside_root"),
        ("none.mp4", "missing"),
        ("a.mp4/b.mp4", "missing"),
        ("n" * 5000, "unreadable"),
        ("\ud800.mp4", "bad_name"),
        ("sub", "not_a_file"),
    ],
)
def test_other_names_are_refused_by_code(root: Path, name: str, code: str) -> None:
    with pytest.raises(VideoError) as caught:
        resolve_video(root, name)
    assert caught.value.code == code
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_an_absolute_name_is_refused_even_below_the_root(root: Path) -> None:
    with pytest.raises(VideoError) as caught:
        resolve_video(root, str(root / "a.mp4"))
    assert caught.value.code == "bad_name"


def test_links_may_not_leave_the_root_nor_run_in_circles(root: Path) -> None:
    (root / "inside.mp4").symlink_to(root / "a.mp4")
    (root / "away.mp4").symlink_to(root.parent / "outside.mp4")
    (root / "folder").symlink_to(root.parent)
    (root / "circle.mp4").symlink_to(root / "circle.mp4")
    assert resolve_video(root, "inside.mp4") == (root / "a.mp4").resolve()
    for name, code in {
        "away.mp4": "outside_root",
        "folder/outside.mp4": "outside_root",
        "circle.mp4": "missing",
    }.items():
        with pytest.raises(VideoError) as caught:
            resolve_video(root, name)
        assert caught.value.code == code, name


def test_pipes_and_empty_files_are_refused_without_opening_them(root: Path) -> None:
    os.mkfifo(root / "pipe.mp4")  # opening it would block for ever
    (root / "empty.mp4").touch()
    for name, code in {"pipe.mp4": "not_a_file", "empty.mp4": "empty"}.items():
        with pytest.raises(VideoError) as caught:
            resolve_video(root, name)
        assert caught.value.code == code
    assert check_regular(root / "a.mp4") == 1


def test_errors_read_as_one_line_and_travel_between_processes() -> None:
    error = video_error("truncated", Path("/data/cl\nip.mp4"), "half\nis missing")
    assert str(error) == "cl?ip.mp4: half is missing; copy or download the file again"
    assert isinstance(error, UserError)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.code, str(copy)) == (error.code, str(error))


def test_every_reason_has_a_mend() -> None:
    assert set(_MENDS) == set(VIDEO_REASONS)


def test_every_reason_is_explained_to_users() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
    assert [reason for reason in VIDEO_REASONS if f"`{reason}`" not in guide] == []
