"""Folders and archives of strangers: what is found, what is refused by name, what is left alone."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, build_video_table
from d2vlm_pipeline.video.archive import Limits
from d2vlm_pipeline.video.folder import (
    ClipFolder,
    VideoArchive,
    find_videos,
    load_videos,
    open_videos,
    save_videos,
)
from d2vlm_pipeline.video.table import refused_row
from video.clips import steady_ms, write_clip

LIMITS = Limits(members=100, unpacked_mb=1)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    return path


def saved(folder: Any, target: Path) -> ClipFolder:
    target.mkdir(parents=True)
    save_videos(folder, target)
    return load_videos(target)


def test_videos_are_found_at_any_depth_and_left_where_they_are(tmp_path: Path) -> None:
    root = tmp_path / "footage"
    for name in ("b.mp4", "a/deep/c.MKV", "notes.txt", ".hidden.mp4", "a/labels.json"):
        touch(root / name)
    clips = saved(find_videos(root), tmp_path / "saved")
    assert (clips.root, clips.names, clips.refused) == (root, ("a/deep/c.MKV", "b.mp4"), ())
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["FOLDER.json"]
    assert find_videos(root).others == 3


def test_a_folder_that_is_a_link_is_entered_by_nobody(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "footage"
    touch(outside / "secret.mp4")
    touch(root / "a.mp4")
    (root / "link").symlink_to(outside)
    (root / "circle").symlink_to(root)
    found = find_videos(root)
    assert found.names == ("a.mp4",)
    (refused,) = found.refused
    assert (refused.name, refused.code) == ("link", "outside_root")
    row = refused_row(root, refused)
    assert (row.status, row.reason) == ("quarantined", "outside_root") and "link" in row.detail


def test_a_video_that_is_a_link_out_is_quarantined_and_never_opened(tmp_path: Path) -> None:
    outside = write_clip(tmp_path / "secret.mp4", steady_ms(5))
    root = tmp_path / "footage"
    root.mkdir()
    (root / "a.mp4").symlink_to(outside)
    (row,) = build_video_table(root, find_videos(root).names, DecodeLimits(), SamplingPolicy(), 1)
    assert (row.status, row.reason, row.digest) == ("quarantined", "outside_root", None)


def test_names_that_are_no_text_are_refused_one_by_one(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    for name in (b"\xff.mp4", b"new\nline.mp4"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"video")
    clips = saved(find_videos(tmp_path), tmp_path / "saved")
    assert clips.names == ("a.mp4",)
    assert [file.code for file in clips.refused] == ["bad_name", "bad_name"]


@pytest.mark.parametrize("content", [[], ["notes.txt"]])
def test_a_folder_without_videos_is_the_users_to_mend(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        touch(tmp_path / name)
    with pytest.raises(UserError, match="no video in it"):
        find_videos(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_videos(tmp_path / "none")


def test_a_folder_that_has_gone_says_so(tmp_path: Path) -> None:
    touch(tmp_path / "footage" / "a.mp4")
    saved(find_videos(tmp_path / "footage"), tmp_path / "saved")
    (tmp_path / "footage").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is gone"):
        load_videos(tmp_path / "saved")


def test_the_folder_that_a_run_writes_is_no_source(tmp_path: Path) -> None:
    """Saving replaces it: the videos would be gone."""
    place = tmp_path / "01_raw" / "world"
    touch(place / "deep" / "a.mp4")
    for root in (place, place / "deep"):
        with pytest.raises(UserError, match="runs replace this folder"), atomic_directory(place) as saving:
            save_videos(find_videos(root), saving)
    assert (place / "deep" / "a.mp4").is_file()
    touch(tmp_path / "01_raw" / "mine" / "b.mp4")
    with atomic_directory(place) as temporary:
        save_videos(find_videos(tmp_path / "01_raw" / "mine"), temporary)
    assert load_videos(place).names == ("b.mp4",)


def tar_of(path: Path, *members: tuple[str, bytes | str]) -> Path:
    """Members by name: bytes are content, a text is the target of a symbolic link."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def zip_of(path: Path, *members: tuple[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # the constructor would cut names at NUL
            if isinstance(content, str):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    return path


MAKERS: dict[str, Callable[..., Path]] = {"x.tar": tar_of, "x.tar.gz": tar_of, "x.zip": zip_of}


@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_is_unpacked_and_listed(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, ("a.mp4", b"one"), ("sub/b.mkv", b"two"), ("read.me", b"x"))
    clips = saved(open_videos(str(path), 100, 1), tmp_path / "saved")
    assert clips.names == ("a.mp4", "sub/b.mkv") and clips.refused == ()
    assert [(clips.root / video).read_bytes() for video in clips.names] == [b"one", b"two"]
    assert not (clips.root / "read.me").exists()


def test_names_come_in_their_plain_form(tmp_path: Path) -> None:
    """As `tar -C folder -cf x.tar .` writes them; the table takes no other."""
    path = tar_of(tmp_path / "x.tar", ("./a.mp4", b"one"), (".//sub/./b.mp4", b"two"), ("a.mp4", b"again"))
    clips = saved(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert clips.names == ("a.mp4", "sub/b.mp4")
    assert [(file.name, file.code) for file in clips.refused] == [("a.mp4", "duplicate_name")]
    rows = build_video_table(clips.root, clips.names, DecodeLimits(), SamplingPolicy(), 1)
    assert {row.reason for row in rows} == {"not_a_video"}


SLIPS: list[tuple[str, bytes | str, str]] = [
    ("../slip.mp4", b"out", "outside_root"),
    ("sub/../../slip.mp4", b"out", "outside_root"),
    ("/slip.mp4", b"out", "outside_root"),
    ("..\\slip.mp4", b"out", "outside_root"),
    ("https://example.org/slip.mp4", b"out", "bad_name"),
    ("bell\x07.mp4", b"out", "bad_name"),
    ("link.mp4", "/etc/passwd", "not_a_file"),
    ("link.mp4", "../../a.mp4", "not_a_file"),
    ("a.mp4/inside.mp4", b"out", "bad_name"),
    ("a.mp4", b"again", "duplicate_name"),
    ("x" * 300 + ".mp4", b"out", "bad_name"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("archive", ["x.tar", "x.zip"])
@pytest.mark.parametrize(("name", "content", "code"), SLIPS)
def test_a_slip_is_refused_by_name_and_the_others_are_unpacked(
    tmp_path: Path, archive: str, name: str, content: bytes | str, code: str
) -> None:
    place = tmp_path / "deep" / "enough"
    place.mkdir(parents=True)
    path = MAKERS[archive](place / archive, ("a.mp4", b"one"), (name, content), ("z.mp4", b"two"))
    before = {found for found in tmp_path.rglob("*")}
    clips = saved(VideoArchive(path, LIMITS), place / "saved")
    assert clips.names == ("a.mp4", "z.mp4")
    (refused,) = clips.refused
    assert (refused.name, refused.code) == (name, code)
    assert refused.detail.isprintable()
    written = {found.relative_to(place) for found in tmp_path.rglob("*") if found not in before}
    assert written == {Path("saved") / file for file in ("", "FOLDER.json", "a.mp4", "z.mp4")}
    assert (clips.root / "a.mp4").read_bytes() == b"one"


def test_a_nul_in_a_zip_does_not_shorten_the_name(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", ("a.mp4", b"one"), ("evil.mp4X.txt", b"two"))
    path.write_bytes(path.read_bytes().replace(b"evil.mp4X.txt", b"evil.mp4\0.txt"))
    clips = saved(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert clips.names == ("a.mp4",)
    assert [file.code for file in clips.refused] == ["bad_name"]


def test_devices_and_hard_links_are_no_videos(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        video = tarfile.TarInfo("a.mp4")
        video.size = 1
        archive.addfile(video, io.BytesIO(b"1"))
        kinds = {"pipe": tarfile.FIFOTYPE, "null": tarfile.CHRTYPE, "hard": tarfile.LNKTYPE}
        for name, kind in kinds.items():
            info = tarfile.TarInfo(f"{name}.mp4")
            info.type, info.linkname = kind, "a.mp4"
            archive.addfile(info)
    clips = saved(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert clips.names == ("a.mp4",)
    assert [(file.name, file.code) for file in clips.refused] == [
        ("pipe.mp4", "not_a_file"),
        ("null.mp4", "not_a_file"),
        ("hard.mp4", "not_a_file"),
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, ("a.mp4", b"one"), ("bomb.mp4", bytes(2 << 20)))
    (tmp_path / "saved").mkdir()
    with pytest.raises(UserError, match="more than 1 MiB"):
        save_videos(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert not (tmp_path / "saved" / "bomb.mp4").exists()


@pytest.mark.parametrize("name", MAKERS)
def test_too_many_members_are_refused(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, *((f"{number}.txt", b"") for number in range(101)))
    (tmp_path / "saved").mkdir()
    with pytest.raises(UserError, match="more than 100 members"):
        save_videos(VideoArchive(path, LIMITS), tmp_path / "saved")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_archive_ends_in_one_line(tmp_path: Path, name: str, damage: str) -> None:
    path = MAKERS[name](tmp_path / name, ("a.mp4", os.urandom(50_000)))
    data = path.read_bytes()
    path.write_bytes(data[:20_000] if damage == "cut" else b"noise" * 1000)
    (tmp_path / "saved").mkdir()
    with pytest.raises(UserError, match="damaged archive") as caught:
        save_videos(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        save_videos(VideoArchive(tmp_path / "none.zip", LIMITS), tmp_path)


def test_an_archive_without_videos_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    with pytest.raises(UserError, match="no video in it"):
        save_videos(VideoArchive(zip_of(tmp_path / "x.zip", ("a.txt", b"")), LIMITS), tmp_path / "saved")


def test_damage_in_a_zip_costs_the_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.mp4", "b.mp4", "c.mp4"):
            archive.writestr(name, f"content of {name}")
    path.write_bytes(path.read_bytes().replace(b"content of b.mp4", b"CONTENT of b.mp4"))
    clips = saved(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert clips.names == ("a.mp4", "c.mp4") and not (clips.root / "b.mp4").exists()
    (refused,) = clips.refused
    assert (refused.name, refused.code) == ("b.mp4", "truncated") and "Bad CRC-32" in refused.detail


def test_an_encrypted_member_is_refused_by_name(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", ("a.mp4", b"one"), ("b.mp4", b"two"))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the flag of the last entry in the directory
    path.write_bytes(bytes(data))
    clips = saved(VideoArchive(path, LIMITS), tmp_path / "saved")
    assert [(file.name, file.code) for file in clips.refused] == [("b.mp4", "unreadable")]
