import pytest

from d2vlm_pipeline.annotations import VideoNames
from d2vlm_pipeline.annotations.draft import RowError

FILES = ("a.mp4", "b.mkv", "sub/c.mp4", "twice.mp4", "twice.webm", "v1.2.mp4", "small/d_s.mp4")


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("a.mp4", "a.mp4"),
        ("a", "a.mp4"),
        ("b.mp4", "b.mkv"),
        ("sub/c", "sub/c.mp4"),
        ("./sub//c", "sub/c.mp4"),
        ("v1.2", "v1.2.mp4"),
    ],
)
def test_a_file_is_found_by_its_name_with_or_without_extension(named: str, file: str) -> None:
    assert VideoNames(FILES).find(named) == file


@pytest.mark.parametrize(
    ("pattern", "named", "file"),
    [("small/{id}_s.mp4", "d", "small/d_s.mp4"), ("sub/{name}", "elsewhere/c.mkv", "sub/c.mp4")],
)
def test_a_pattern_says_how_files_are_called(pattern: str, named: str, file: str) -> None:
    assert VideoNames(FILES, pattern).find(named) == file


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("nobody", "missing_video"),
        ("twice", "ambiguous_video"),
        ("", "bad_video_name"),
        (" ", "bad_video_name"),
        ("a\0.mp4", "bad_video_name"),
        ("a\n.mp4", "bad_video_name"),
        ("\ud800.mp4", "bad_video_name"),
        ("https://example.org/a.mp4", "bad_video_name"),
        ("file:///etc/passwd", "bad_video_name"),
        ("concat:a.mp4|b.mkv", "bad_video_name"),
        ("../a.mp4", "outside_root"),
        ("sub/../../a.mp4", "outside_root"),
        ("..\\a.mp4", "outside_root"),
        ("/a.mp4", "outside_root"),
        ("\\\\host\\a.mp4", "outside_root"),
        ("~/a.mp4", "outside_root"),
        ("{name}", "missing_video"),
    ],
)
def test_a_strangers_name_is_refused_by_code(named: str, code: str) -> None:
    with pytest.raises(RowError) as caught:
        VideoNames(FILES).find(named)
    assert caught.value.code == code
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_the_exact_name_wins_over_the_ambiguous_stem() -> None:
    assert VideoNames(FILES).find("twice.webm") == "twice.webm"
