"""`d2vlm preferences synthesize`: pairs from a file of samples, and nothing else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.preferences import DonorPool, PreferenceConfig, check_pair, synthesize_pairs
from d2vlm_pipeline.timeline import PreferencePair, dump_jsonl
from d2vlm_pipeline.timeline.jsonl import read_jsonl
from preferences import samples as s
from preferences.authors_contract import problems_of_authors_record

SAMPLES = [*s.ALL, s.other_clip()]
DURATIONS = {"clip_1.mp4": s.DURATION_S, "clip_2.mp4": s.DURATION_S}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl"
    path.write_text(dump_jsonl(SAMPLES), encoding="utf-8")
    (tmp_path / "durations.json").write_text(json.dumps(DURATIONS))
    return path


def synthesize(path: Path, *options: str):
    out = str(path.with_name("pairs.jsonl"))
    return CliRunner().invoke(main, ["preferences", "synthesize", str(path), "--out", out, *options])


def made(path: Path) -> list[PreferencePair]:
    return [pair for _, pair in read_jsonl(path.with_name("pairs.jsonl"), PreferencePair)]


def test_the_file_holds_the_pairs_that_the_pipeline_makes(given: Path) -> None:
    done = synthesize(given, "--durations", str(given.with_name("durations.json")))
    assert done.exit_code == 0, done.output
    expected = synthesize_pairs(SAMPLES, DURATIONS, PreferenceConfig(), DonorPool.of(SAMPLES))
    assert given.with_name("pairs.jsonl").read_text() == dump_jsonl(expected)
    assert given.with_name(".pairs.jsonl.sha256").is_file()


def test_without_lengths_a_clip_ends_with_its_last_event(given: Path) -> None:
    assert synthesize(given).exit_code == 0
    by_id = {sample.id: sample for sample in SAMPLES}
    pairs = made(given)
    assert pairs
    for pair in pairs:
        assert check_pair(pair, by_id[pair.sample_id], duration_s=23.0) == []


def test_what_was_made_and_what_was_left_out_is_shown(given: Path) -> None:
    with given.open("a", encoding="utf-8") as file:
        file.write('{"id": "broken"}\n')
        file.write(dump_jsonl([s.TVG, s.TVG.model_copy(update={"id": "other", "split": "test"})]))
    shown = synthesize(given).stdout
    assert "shift" in shown and "no events" in shown
    assert "split test" in shown
    assert "bad rows" in shown and "samples.jsonl:28" in shown and "is there twice" in shown
    assert len(made(given)) == int(shown.split()[0])


def test_a_configuration_says_what_to_draw(given: Path) -> None:
    config = given.with_name("config.yml")
    zero = {name: 0 for name in PreferenceConfig().weights.model_dump() if name != "resize"}
    config.write_text(json.dumps({"weights": zero, "magnitudes": s.moved("resize", 0.5, 0.7)}))
    assert synthesize(given, "--config", str(config)).exit_code == 0
    assert {pair.factors[0].operator for pair in made(given)} == {"resize"}


def test_an_epoch_is_a_new_set(given: Path) -> None:
    synthesize(given)
    first = made(given)
    assert synthesize(given, "--epoch", "3").exit_code == 0
    again = made(given)
    assert {pair.epoch for pair in again} == {3}
    assert {pair.rejected for pair in again} != {pair.rejected for pair in first}


def test_the_authors_form_is_one_json_list(given: Path) -> None:
    shown = synthesize(given, "--form", "authors")
    assert shown.exit_code == 0, shown.output
    records = json.loads(given.with_name("pairs.jsonl").read_text())
    assert records and [problems_of_authors_record(record) for record in records] == [[]] * len(records)
    variants = sum(len(record["conversations"]) - 1 for record in records)
    assert variants == int(shown.stdout.split()[0])
    assert "the form has no answers without evidence" in shown.stdout


def test_an_audit_comes_with_numbers_and_a_picture(given: Path) -> None:
    folder = given.with_name("audit")
    assert synthesize(given, "--audit", str(folder)).exit_code == 0
    assert json.loads((folder / "audit.json").read_text())["pairs"] == len(made(given))
    assert json.loads((folder / "statistics.json").read_text())["pairs"] == len(made(given))
    assert (folder / "audit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "files", "message"),
    [
        (["--split", "night"], {}, "no sample in split night; there is train (27)"),
        (["--config", "c.yml"], {"c.yml": "weights: {shft: 1}"}, "c.yml: weights.shft: Extra inputs"),
        (["--config", "c.yml"], {"c.yml": "a: ["}, "c.yml: not YAML"),
        (["--config", "c.yml"], {}, "c.yml: no such file"),
        (["--durations", "d.json"], {"d.json": '{"clip_1.mp4": -1}'}, "d.json: clip_1.mp4: Input should be"),
        (["--durations", "d.json"], {"d.json": "[1"}, "d.json: not JSON"),
        (["--durations", "d.json"], {"d.json": "{}"}, "no duration for video clip_1.mp4"),
        (["--durations", "d.json"], {"d.json": '{"clip_1.mp4": 9}'}, "an event ends at 12.0 s"),
    ],
)
def test_what_people_can_mend_is_one_line(given, monkeypatch, options, files, message) -> None:
    monkeypatch.chdir(given.parent)
    for name, text in files.items():
        Path(name).write_text(text)
    done = synthesize(given, *options)
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-1] and len(done.stderr.strip().splitlines()) == 1
    assert not given.with_name("pairs.jsonl").exists()


def test_a_file_without_samples_says_why(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("not a row\n")
    done = synthesize(path)
    assert done.exit_code == 2 and "samples.jsonl:1" in done.stderr
    assert synthesize(tmp_path / "nothing.jsonl").exit_code == 2


def test_a_file_of_pairs_is_proved_against_its_samples(given: Path) -> None:
    synthesize(given)
    pairs = given.with_name("pairs.jsonl")
    proof = CliRunner().invoke(main, ["preferences", "check", str(pairs), str(given)])
    assert proof.exit_code == 0
    assert proof.stdout.strip() == f"{len(made(given))} pairs: all are wrong in exactly what they record"


def test_a_pair_that_is_not_what_it_says_is_named(given: Path) -> None:
    synthesize(given)
    good, *rest = made(given)
    (factor,) = good.factors
    bad = good.model_copy(update={"factors": (factor.model_copy(update={"magnitude": {}}),)})
    path = given.with_name("pairs.jsonl")
    path.write_text(dump_jsonl([bad, rest[0].model_copy(update={"sample_id": "nobody"}), *rest[1:]]))
    proof = CliRunner().invoke(main, ["preferences", "check", str(path), str(given)])
    assert proof.exit_code == 1
    assert "2 are not sound" in proof.stdout
    assert bad.id in proof.stdout and "there is no such sample" in proof.stdout
    assert CliRunner().invoke(main, ["preferences", "check", "none.jsonl", str(given)]).exit_code == 2
