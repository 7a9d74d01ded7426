"""docs/bring-your-own-data.md, done as it says, on real clips."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from d2vlm_pipeline.artifacts import digest_file
from video.footage import real_clip

pytestmark = [pytest.mark.slow, pytest.mark.ci_sample]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
CLIPS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4", "cockatoo.mp4", "motion.mov")


def block(heading: str) -> str:
    """The indented block behind a comment of the page, without its indentation."""
    _, found, rest = PAGE.partition(f"<!-- {heading} -->\n")
    assert found, heading
    lines = re.match(r"(?:    .*\n)+", rest)
    assert lines is not None, heading
    return re.sub(r"(?m)^    ", "", lines.group())


def commands() -> list[str]:
    """What the page tells people to type, in order."""
    return re.findall(r"(?m)^    ((?:d2vlm|kedro) .*)$", PAGE)


@dataclass
class Walk:
    """The project after the walk, and what each command said."""

    root: Path
    said: dict[str, Result]
    before: dict[str, str]

    def report(self, name: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.root / "data" / "08_reporting" / name).read_text())
        return record

    def lines(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "data" / path).read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    root = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(ROOT / "great_expectations", root / "great_expectations")
    for folder in ("conf/local", "src", "footage"):
        (root / folder).mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, root)
    for name in CLIPS:
        shutil.copy(real_clip(name), root / "footage")
    (root / "footage" / "labels.txt").write_text(block("file: footage/labels.txt"))
    before = digests(root / "footage")
    said: dict[str, Result] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for command in commands():
            if command.startswith("kedro"):  # the edit stands before the runs
                (root / "conf/local/parameters.yml").write_text(block("file: conf/local/parameters.yml"))
            said[command] = typed(root, command)
        said["d2vlm data check"] = typed(root, "d2vlm data check")
        said["d2vlm data check --world"] = typed(root, "d2vlm data check --world")
    return Walk(root, said, before)


def typed(root: Path, command: str) -> Result:
    from kedro.framework.startup import bootstrap_project

    from d2vlm_pipeline.cli import cli, main

    program, *arguments = shlex.split(command)
    bootstrap_project(root)
    return CliRunner().invoke(main if program == "d2vlm" else cli, arguments)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_the_page_names_all_it_needs() -> None:
    assert [command.split()[:3] for command in commands()] == [
        ["d2vlm", "data", "check"],
        ["kedro", "run", "--pipelines"],
        ["kedro", "run", "--pipelines"],
        ["kedro", "run", "--pipelines"],
        ["d2vlm", "data", "export"],
    ]


def test_the_dry_run_says_what_the_page_says(walk: Walk) -> None:
    said = walk.said[commands()[0]]
    assert said.exit_code == 1, said.output
    for line in block("output").splitlines():
        assert squeezed(line) in squeezed(said.stdout), line


def test_every_command_ends_well(walk: Walk) -> None:
    for command in commands()[1:]:
        said = walk.said[command]
        assert said.exit_code == 0, f"{command}: {said.output} {said.exception}"


def test_ingestion_leaves_out_what_the_dry_run_foretold(walk: Walk) -> None:
    quarantine = walk.report("quarantine.json")
    assert quarantine["row_counts"] == {"bad_interval": 1, "missing_video": 1}
    assert quarantine["adjusted"] == {"cut_at_end": 1}
    assert (quarantine["videos_total"], quarantine["rows_total"], quarantine["videos"]) == (5, 10, [])
    assert {(row["file"], row["line"]) for row in quarantine["rows"]} == {
        ("footage/labels.txt", 9),
        ("footage/labels.txt", 10),
    }
    samples = walk.lines("03_primary/samples.jsonl")
    assert len(samples) == 8
    last = next(sample for sample in samples if sample["id"] == "labels-7")
    assert last["events"][0]["end_s"] == 14.0
    again = walk.said["d2vlm data check"]
    assert again.exit_code == 1 and "0 videos and 2 rows would be left out" in squeezed(again.stdout)


def test_features_and_pairs_are_of_these_clips(walk: Walk) -> None:
    from d2vlm_pipeline.artifacts import is_complete

    assert is_complete(walk.root / "data" / "04_feature" / "store")
    train = {sample["id"] for sample in walk.lines("03_primary/samples.jsonl") if sample["split"] == "train"}
    pairs = walk.lines("05_model_input/pairs.jsonl")
    assert pairs and {pair["sample_id"] for pair in pairs} <= train


def test_the_certificate_says_that_it_does_not_apply(walk: Walk) -> None:
    said = walk.said["d2vlm data check --world"]
    assert said.exit_code == 0
    assert said.stdout.strip() == "skipped the demo world's promises: do not apply: data.source is folder"


def test_the_samples_leave_in_another_format(walk: Walk) -> None:
    entries = json.loads((walk.root / "bench.json").read_text())
    assert len(entries) == 8 and {entry["task"] for entry in entries} == {"tvg"}


def test_the_folder_is_as_it_was(walk: Walk) -> None:
    assert digests(walk.root / "footage") == walk.before
    assert not list((walk.root / "data" / "01_raw").rglob("*.m*"))
