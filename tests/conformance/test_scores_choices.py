"""Figures of the public evaluators of multiple choice come out as they were recorded."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.public import public_file
from conformance.scoring import PUBLIC, score
from d2vlm_pipeline.evaluation.reading.multiple_choice import first_capital

OFFICIAL = ["--protocol", "official"]
KINDS = {
    "Video Categories": "domain",
    "Video Domains": "domain",
    "Video Sub Categories": "sub_category",
    "Task Categories": "task_type",
}


def recorded(name: str) -> Any:
    return json.loads(public_file("mcq", name).read_text())


def test_mvbench_by_task_and_in_total(tmp_path: Path) -> None:
    expected = recorded("mvbench.expected.json")
    report = score("mvbench", PUBLIC["mvbench"], tmp_path, OFFICIAL)
    assert report["metrics"] == expected["accuracy_percent_2dp"]
    assert report["counts"]["unparsed"] == expected["n_empty_predictions"]


def test_mvbench_strict_counts_no_blank_as_right(tmp_path: Path) -> None:
    strict = score("mvbench", PUBLIC["mvbench"], tmp_path)
    (blank,) = strict["traps"]
    assert blank["trap"] == 2
    assert blank["differences"]["Total"] == pytest.approx(100 * 31 / 300)
    assert strict["metrics"]["Total"] == pytest.approx(100 * (167 - 31) / 300)
    assert score("mvbench", PUBLIC["mvbench"], tmp_path, ["--protocol", "lenient"])["metrics"][
        "Total"
    ] == pytest.approx(62.0)


def test_video_mme_by_duration(tmp_path: Path) -> None:
    expected = recorded("videomme.expected.json")
    report = score("video-mme", PUBLIC["video-mme"], tmp_path, OFFICIAL)
    assert report["metrics"] == expected["overall_percent_1dp"]
    assert report["counts"]["queries"] == expected["n_questions"]
    assert report["counts"]["parsed"] == report["intervals"]["all"]["n"] == expected["n_answered"]
    share = expected["n_correct"] / expected["n_answered"]
    assert report["intervals"]["all"]["value"] == pytest.approx(100 * share)


def test_video_mme_s_published_tables(tmp_path: Path) -> None:
    tables = score("video-mme", PUBLIC["video-mme"], tmp_path, OFFICIAL)["tables"]
    text = recorded("videomme.expected.json")["full_text_report"]
    part, kind, checked = "", "", 0
    for line in text.splitlines():
        if found := re.fullmatch(r"Evaluation on (?:video Type: (\w+)|the entire dataset)", line):
            part = found[1] or "all"
        elif line in KINDS:
            kind = KINDS[line]
        elif line == "Overall Performance":
            kind = ""
        elif kind and (row := re.fullmatch(r"(.+): ([\d.]+)%", line)):
            assert tables[part][kind][row[1]] == float(row[2]), (part, kind, row[1])
            checked += 1
    assert checked == 4 * (6 + 30 + 12)


def test_video_mme_s_letters() -> None:
    answers = [entry["a"] for entry in json.loads(public_file("mcq", "videomme_pred.json").read_text())]
    assert [first_capital(answer) or "" for answer in answers] == recorded("videomme.expected.json")[
        "extracted_letters"
    ]


def test_video_mme_strict_counts_every_question(tmp_path: Path) -> None:
    strict = score("video-mme", PUBLIC["video-mme"], tmp_path)
    assert strict["intervals"]["all"]["n"] == 2700
    (leave,) = strict["traps"]
    assert leave["trap"] == 3
    # Of the 63.0 that the script reports, 19 points are questions left out.
    assert strict["metrics"]["all"] == pytest.approx(100 * 1187 / 2700)
    assert leave["differences"]["all"] == pytest.approx(100 * 1187 / 1884 - 100 * 1187 / 2700)
    lenient = score("video-mme", PUBLIC["video-mme"], tmp_path, ["--protocol", "lenient"])
    assert lenient["metrics"]["all"] == pytest.approx(50.296296)
