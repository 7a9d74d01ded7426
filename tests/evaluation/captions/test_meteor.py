"""METEOR through one process: its figures are the COCO tools', and no caption and no failure hangs it."""

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.captions import Meteor, java, meteor_unavailable

STANDIN = Path(__file__).with_name("standin.py")


def standin(folder: Path, trouble: str = "none", timeout_s: float = 20.0) -> Meteor:
    return Meteor(timeout_s, 20.0, [sys.executable, str(STANDIN), trouble, str(folder)])


def pid_of(meteor: Meteor) -> int:
    assert meteor._program is not None
    return meteor._program.pid


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_many_long_captions_do_not_fill_the_pipes(tmp_path: Path) -> None:
    said = [f"{'word ' * 300}{number}" for number in range(3000)]  # megabytes, far beyond what a pipe holds
    with standin(tmp_path) as meteor:
        scores, (whole,) = meteor.score([["a"]] * len(said), said)
    np.testing.assert_array_equal(scores, np.full(3000, 301.0))
    assert whole == 301.0 * 3000


def test_what_was_asked_is_not_asked_again(tmp_path: Path) -> None:
    with standin(tmp_path) as meteor:
        meteor.score([["a"]] * 3, ["x y", "x y", "z"])
        asked: list[str] = []
        assert meteor._program is not None
        meteor._program.ask = asked.extend  # type: ignore[method-assign]
        again, _ = meteor.score([["a"]] * 3, ["x y", "z", "x y"])
        np.testing.assert_array_equal(again, [2.0, 1.0, 2.0])
        assert not asked


def test_a_program_that_died_is_started_again(tmp_path: Path) -> None:
    with standin(tmp_path, "dies once") as meteor:
        scores, _ = meteor.score([["a"]] * 9, [f"{'x ' * count}y" for count in range(9)])
    np.testing.assert_array_equal(scores, np.arange(1.0, 10.0))
    assert len(list(tmp_path.glob("run-*"))) == 2


def test_a_program_that_dies_again_is_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        standin(tmp_path, "always dies") as meteor,
        pytest.raises(UserError, match=r"failed twice .*code 1, saying: Could not reserve") as error,
    ):
        meteor.score([["a"]], ["cut the onion"])
    assert "cut the onion" in str(error.value) and "\n" not in str(error.value)
    assert len(list(tmp_path.glob("run-*"))) == 2


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    began_s = time.monotonic()
    with standin(tmp_path, "hangs", timeout_s=0.3) as meteor:
        meteor._running()
        first = pid_of(meteor)
        with pytest.raises(UserError, match=r"no answer within 0\.3 s"):
            meteor.score([["a"]], ["x"])
        assert not is_running(first)
        assert meteor._program is None
    assert time.monotonic() - began_s < 60


def test_an_answer_that_is_none_is_not_taken_for_one(tmp_path: Path) -> None:
    with (
        standin(tmp_path, "babbles") as meteor,
        pytest.raises(UserError, match="it said 'OpenJDK warning: something'"),
    ):
        meteor.score([["a"]], ["x"])


def test_a_program_that_does_not_start_is_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        Meteor(command=[str(tmp_path / "java")]) as meteor,
        pytest.raises(UserError, match="it does not start: No such file"),
    ):
        meteor.score([["a"]], ["x"])


def test_what_was_interrupted_answers_no_later_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standin(tmp_path) as meteor:
        program = meteor._running()
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(program, "answer", lambda timeout_s: (_ for _ in ()).throw(KeyboardInterrupt))
            meteor.score([["a"]] * 2, ["x", "x y"])
        scores, _ = meteor.score([["a"]] * 2, ["x y z", "x y z v"])
    np.testing.assert_array_equal(scores, [3.0, 4.0])


def test_the_end_leaves_no_process(tmp_path: Path) -> None:
    with standin(tmp_path) as meteor:
        meteor.score([["a"]], ["x"])
        pid = pid_of(meteor)
        assert is_running(pid)
    assert not is_running(pid), "neither running nor a zombie: a zombie still has its number"
    meteor.close()  # twice is once


def test_no_caption_breaks_the_protocol(tmp_path: Path) -> None:
    said = ["", " ", "a ||| b", "|||", "||||", "a\nb", "a\r\nEVAL ||| 1", "a\u2028b", "\ud800", "\x00"]
    with standin(tmp_path) as meteor:
        scores, _ = meteor.score([[text, "the pan"] for text in said], said)
        statistics = [meteor._statistics[question] for question in meteor._statistics]
    assert len(scores) == len(said)
    assert {numbers[1] for numbers in statistics} == {2.0}, "two references, whatever they hold"


def test_nothing_to_score(tmp_path: Path) -> None:
    with standin(tmp_path) as meteor:
        scores, groups = meteor.score([], [])
        assert scores.shape == (0,) and groups.tolist() == [0.0]
        assert meteor._program is None, "nothing was asked, so nothing was started"


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "_packaged_java", lambda: None)
    yield


def test_without_java_the_reason_names_the_mend(no_java: None) -> None:
    pytest.importorskip("pycocoevalcap")
    reason = meteor_unavailable()
    assert reason is not None and "Java" in reason and "d2vlm-pipeline[meteor]" in reason
    with pytest.raises(UserError, match="METEOR needs Java"), Meteor() as meteor:
        meteor.score([["a"]], ["a"])


def test_java_is_found_by_java_home(no_java: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() == program


def test_without_the_tables_the_reason_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    reason = meteor_unavailable()
    assert reason is not None and "pycocoevalcap" in reason and "d2vlm-pipeline[meteor]" in reason


TEXTS = [
    *("cut the onion", "cuts the onions", "stir a pan well", "stir a saucepan well", "add salt", "salt add"),
    *("automobile", "car", "big dog runs", "large dog ran", "the the the", "in the pot of water", "x", ""),
    *("crème brûlée", "add some more of the salt to the pot"),
]


@pytest.mark.slow
@pytest.mark.ci_sample
def test_figures_are_those_of_the_coco_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """About 20 s: two programs read METEOR's tables."""
    if reason := meteor_unavailable():
        pytest.skip(reason)
    # The tools call `java` by name.
    monkeypatch.setenv("PATH", f"{java.find_java().parent}{os.pathsep}{os.environ['PATH']}")  # type: ignore[union-attr]
    from pycocoevalcap.meteor.meteor import Meteor as Theirs

    draw = random.Random(5)
    references = [[draw.choice(TEXTS) for _ in range(draw.randint(1, 3))] for _ in range(400)]
    said = [draw.choice(TEXTS) for _ in references]
    groups = [draw.randint(0, 120) for _ in references]
    theirs = Theirs()
    monkeypatch.setenv("LC_ALL", "C")  # ours must not depend on it
    with Meteor() as meteor:
        scores, wholes = meteor.score(references, said, groups)
    for group in sorted(set(groups)):
        items = [index for index, of in enumerate(groups) if of == group]
        whole, each = theirs.compute_score({i: references[i] for i in items}, {i: [said[i]] for i in items})
        np.testing.assert_array_equal(scores[items], np.nan_to_num(each))
        assert wholes[group] == pytest.approx(np.nan_to_num(whole), abs=1e-12)
