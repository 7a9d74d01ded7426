"""What runs again, and why: every kind of change, each alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import write_text_atomic
from orchestration.staleness.conftest import Judge, Kedro

NODES = [
    "read_points",
    "prepare_model",
    "train_sft",
    "train_fpo",
    "score_models",
    "check_scores",
    "promote_model",
]


def running(causes: dict[str, str | None]) -> list[str]:
    return [node for node in NODES if causes.get(node) is not None]


def test_a_second_run_has_nothing_to_do(judge: Judge) -> None:
    assert judge() == dict.fromkeys(NODES)


def test_a_changed_parameter_runs_what_reads_it_and_all_that_follows(judge: Judge) -> None:
    causes = judge("--params", "sft.steps=11")
    assert running(causes) == NODES[1:]
    assert causes["train_sft"] == "parameter sft.steps: 10 → 11"
    assert causes["prepare_model"] == "train_sft needs what it hands on"
    assert causes["train_fpo"] == "train_sft runs"


def test_a_parameter_counts_wherever_it_is_set(shop: Path, judge: Judge) -> None:
    (shop / "conf/local/parameters.yml").write_text("points: {count: 4}\n")
    assert judge()["read_points"] == "parameter points.count: 3 → 4"


def test_the_same_value_written_elsewhere_changes_nothing(shop: Path, judge: Judge) -> None:
    (shop / "conf/local/parameters.yml").write_text("points: {count: 3}\n")
    assert running(judge("--params", "sft.steps=10")) == []


def test_what_changes_no_byte_of_a_result_changes_nothing(judge: Judge) -> None:
    assert running(judge("--params", "compute.workers=8")) == []


def test_code_counts_through_imports(shop: Path, judge: Judge) -> None:
    (shop / "src/shopkeeper/recipe.py").write_text('STRENGTH = "mild"\n')
    causes = judge()
    assert causes["train_sft"] == "code: recipe.py"
    assert causes["read_points"] is None, "its module imports no recipe"
    assert running(causes) == NODES[1:]


def test_code_of_datasets_counts(shop: Path, judge: Judge) -> None:
    with (shop / "src/shopkeeper/things.py").open("a") as file:
        file.write("\nEND = 1\n")
    assert judge()["train_sft"] == "code: things.py"


def test_comments_and_docstrings_do_not_count(shop: Path, judge: Judge) -> None:
    (shop / "src/shopkeeper/recipe.py").write_text('"""Of the house."""\nSTRENGTH = "strong"  # Not mild.\n')
    assert running(judge()) == []


def test_a_parameter_of_a_maker_in_memory_counts_for_what_takes_its_output(judge: Judge) -> None:
    causes = judge("--params", "start.steps=2")
    assert causes["train_sft"] == "input draft: prepare_model would make another"
    assert running(causes) == NODES[1:]


def test_a_deleted_output_is_made_again_with_what_it_needs(shop: Path, judge: Judge) -> None:
    shutil.rmtree(shop / "data/06_models/sft")
    causes = judge()
    assert causes["train_sft"] == "data/06_models/sft is missing"
    assert running(causes) == NODES[1:]


def test_a_half_written_output_is_no_output(shop: Path, judge: Judge) -> None:
    (shop / "data/08_reporting/.metrics.json.sha256").unlink()
    assert judge()["score_models"] == "data/08_reporting/metrics.json is incomplete"


def test_an_output_changed_by_hand_is_noticed_whatever_its_size_and_time(shop: Path, judge: Judge) -> None:
    path = shop / "data/06_models/fpo/2.txt"
    assert running(judge()) == []
    stat = path.stat()
    path.write_text(path.read_text().replace("3", "4"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert judge()["train_fpo"] == (
        "data/06_models/fpo was changed by hand, or by a run that keeps no records"
    )


def test_outputs_of_a_run_that_keeps_no_records_are_not_believed(shop: Path, judge: Judge) -> None:
    """Whole by its marker, and not what the record says."""
    write_text_atomic(shop / "data/03_primary/points.jsonl", '{"x":7}\n')
    causes = judge()
    assert causes["read_points"] == (
        "data/03_primary/points.jsonl was changed by hand, or by a run that keeps no records"
    )
    assert judge("--from-nodes", "train_sft")["train_sft"] == "input points"
    assert judge("--from-nodes", "train_fpo")["train_fpo"] == "input points"


def test_what_has_no_record_runs(shop: Path, judge: Judge) -> None:
    (shop / "data/.records/train_fpo.json").unlink()
    (shop / "data/.records/check_scores.json").unlink()
    causes = judge("--nodes", "train_fpo,check_scores")
    assert causes["train_fpo"] == "no record says how its outputs were made"
    assert causes["check_scores"] == "never ran to its end"


def test_a_torn_record_is_none(shop: Path, judge: Judge) -> None:
    path = shop / "data/.records/train_fpo.json"
    path.write_bytes(path.read_bytes()[:100])
    assert judge("--nodes", "train_fpo")["train_fpo"] == "no record says how its outputs were made"


def test_another_version_of_a_package_counts(shop: Path, judge: Judge) -> None:
    _edit_record(shop, "score_models", lambda record: record["definition"]["packages"].update(numpy="0.1"))
    assert str(judge()["score_models"]).startswith("package numpy: 0.1 → not there")


def test_the_catalog_entry_of_an_output_counts(shop: Path, judge: Judge) -> None:
    catalog = shop / "conf/base/catalog.yml"
    text = catalog.read_text().replace("load: shopkeeper.things.load_lines", "load: shopkeeper.things.points")
    catalog.write_text(text)
    assert judge()["train_sft"] == "catalog entry sft_model"


def test_what_a_parameter_names_counts_by_content(shop: Path, judge: Judge, kedro: Kedro) -> None:
    (shop / "model").mkdir()
    (shop / "model/weights").write_text("1")
    given = ("--params", "start.directory=model", "--to-nodes", "train_sft")
    assert kedro(*given).exit_code == 0
    assert running(judge(*given)) == []
    (shop / "model/weights").write_text("2")
    assert judge(*given)["train_sft"] == "input draft: prepare_model would make another"


def test_what_was_left_as_it_was_is_not_asked_for(shop: Path, judge: Judge) -> None:
    assert not (shop / "data/08_reporting/extra.json").exists()
    record = json.loads((shop / "data/.records/score_models.json").read_text())
    assert record["outputs"]["extra"] is None
    assert judge()["score_models"] is None


@pytest.mark.parametrize(
    ("options", "nodes"),
    [
        ("--pipelines sft", ["train_sft", "prepare_model"]),
        ("--from-nodes train_fpo", ["train_fpo", "score_models", "check_scores", "promote_model"]),
        ("--nodes train_fpo,promote_model", ["train_fpo", "promote_model"]),
        ("--to-nodes train_sft", ["read_points", "prepare_model", "train_sft"]),
        ("--to-outputs metrics --from-inputs fpo_model", ["score_models"]),
    ],
)
def test_options_select_first(judge: Judge, options: str, nodes: list[str]) -> None:
    assert set(judge(*options.split())) == set(nodes)
    assert running(judge(*options.split())) == []
    assert set(running(judge("--force", *options.split()))) == set(nodes)


def _edit_record(shop: Path, node: str, edit: object) -> None:
    path = shop / f"data/.records/{node}.json"
    record = json.loads(path.read_text())
    edit(record)  # type: ignore[operator]
    write_text_atomic(path, json.dumps(record))
