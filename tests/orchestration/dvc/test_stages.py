"""What DVC is told of the project's own pipelines: nothing missing, nothing in flight, nothing twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import configure_project

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.dvc.configuration import Configuration, Place, read_configuration
from d2vlm_pipeline.orchestration.dvc.documents import params_document, stages_document
from d2vlm_pipeline.orchestration.dvc.parameters import brought
from d2vlm_pipeline.orchestration.dvc.stages import Stage, stage_of, stages_of

ROOT = Path(__file__).parents[3]
MAIN_JOB = ["ingestion", "features", "preferences", "sft", "fpo", "evaluation"]


def configuration(env: str = "base", params: dict[str, Any] | None = None) -> Configuration:
    configure_project("d2vlm_pipeline")
    return read_configuration(Place(ROOT, env), params)


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    return by_name(configuration())


def by_name(config: Configuration) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(config)}


def persisted(config: Configuration, names: set[str]) -> set[str]:
    return {dataset.path.as_posix() for name in names if (dataset := config.dataset(name)) is not None}


def test_every_pipeline_of_the_main_job_is_a_stage_and_promotion_is_an_act(stages: dict[str, Stage]) -> None:
    assert list(stages) == MAIN_JOB


def test_all_that_the_main_job_persists_is_an_out_of_one_stage(stages: dict[str, Stage]) -> None:
    config = configuration()
    written = {path for stage in stages.values() for path in (*stage.outs, *stage.metrics)}
    made = {name for stage in MAIN_JOB for name in config.pipelines[stage].all_outputs()}
    unasked = {f"{who}_{what}" for who in ("blind", "model") for what in ("predictions", "answer_record")}
    assert persisted(config, made - unasked) <= written
    assert not persisted(config, unasked) & written
    assert set(Counter(path for stage in stages.values() for path in stage.outs).values()) == {1}


def test_a_file_travels_with_its_marker_and_a_directory_with_its_manifest_inside(
    stages: dict[str, Stage],
) -> None:
    assert [path for path in stages["features"].outs if ".records" not in path] == [
        "data/04_feature/store",
        "data/08_reporting/.world_certificate.json.sha256",
        "data/08_reporting/world_certificate.json",
    ]


@pytest.mark.parametrize("folder", ["cache", "journal", "checkpoints", "replay", "backbones", "validation"])
def test_what_is_in_flight_lies_outside_outs(stages: dict[str, Stage], folder: str) -> None:
    outs = [Path(path) for stage in stages.values() for path in stage.outs]
    assert not [path for path in outs if folder in path.parts]
    nothing_above = {path.name for path in outs}
    assert not nothing_above & {"data", "04_feature", "06_models", "07_model_output", "08_reporting"}


def test_records_travel_with_what_they_are_about(stages: dict[str, Stage]) -> None:
    outs = [Path(path).name for path in stages["sft"].outs if Path(path).parts[1] == ".records"]
    assert outs == [".sft.train.json.sha256", "sft.train.json"], "what is handed on in memory has none"
    assert "data/.records/judge_distance.json" in stages["evaluation"].outs


def test_what_a_stage_reads_is_made_by_one_before_it(stages: dict[str, Stage]) -> None:
    made: set[str] = set()
    for stage in stages.values():
        assert set(stage.data) <= made, stage.name
        made |= {*stage.outs, *stage.metrics}
    assert {"data/06_models/sft", "data/05_model_input/pairs.jsonl"} <= {*stages["fpo"].data}


def test_code_is_that_of_nodes_of_what_they_import_and_of_what_the_catalog_names(
    stages: dict[str, Stage],
) -> None:
    package = "src/d2vlm_pipeline"
    features = {*stages["features"].code}
    assert {
        f"{package}/pipelines/features/nodes.py",
        f"{package}/video/worker.py",  # runs as a process, imported by nobody
        f"{package}/features/store.py",  # the catalog's `save`
        f"{package}/orchestration/validation/guard.py",  # its `validator`
        f"{package}/orchestration/datasets/directory.py",  # its `type`
        "great_expectations/video_table.json",
    } <= features
    assert f"{package}/training/loop.py" not in features
    assert f"{package}/objectives/fpo.py" in stages["fpo"].code
    assert f"{package}/model/assets/aligned/model.safetensors" in stages["sft"].code
    assert all((ROOT / path).is_file() for stage in stages.values() for path in stage.code)


def test_parameters_are_the_keys_that_nodes_read(stages: dict[str, Stage]) -> None:
    config = configuration()
    for stage in stages.values():
        inputs = config.pipelines[stage.name].inputs()
        read = sorted(name[7:] for name in inputs if name.startswith("params:"))
        assert stage.params == [key for key in read if key != "ray"]


def test_what_changes_no_byte_is_not_noted(stages: dict[str, Stage]) -> None:
    config = configuration(params={"compute": {"threads": 3}})
    document = params_document(stages.values(), config, {})
    assert document["compute"] == {"threads": 3}, "workers are the machine's"
    assert "replay_dir" not in document["sft"] and document["sft"]["steps"] == 2200
    assert document["decode_limits"] == {}


def test_systems_that_are_asked_bring_their_outs_and_the_pipeline_that_trains_them() -> None:
    asked = by_name(configuration(params={"answering": {"systems": "chance blind"}}))
    assert list(asked) == [*MAIN_JOB, "blind"]
    assert "data/06_models/blind" in asked["evaluation"].data
    assert "data/06_models/fpo" in asked["evaluation"].data
    outs = {Path(path).name for path in asked["evaluation"].outs}
    assert {"blind_predictions.jsonl", "report.html", "metrics.json"} <= outs
    assert not {"fpo_predictions.jsonl", "studies.json", "preference_distance.png"} & outs


def test_a_parameter_that_names_what_another_pipeline_makes_makes_it_a_stage() -> None:
    aligned = by_name(configuration("smollm2"))
    assert list(aligned) == [*MAIN_JOB, "align"]
    assert "data/smollm2/align/06_models/aligned" in aligned["sft"].data
    assert "data/smollm2/align/06_models/aligned" in aligned["align"].outs


def test_what_people_bring_is_a_dependency(stages: dict[str, Stage]) -> None:
    footage = {"source": "folder", "videos": "/media/kitchen.zip", "annotations": "a.zip::labels.jsonl"}
    encoder = {"kind": "huggingface", "path": "/models/siglip"}
    own = configuration(params={"data": footage, "encoder": encoder})
    assert stage_of("ingestion", own).data == ["/media/kitchen.zip", "a.zip"]
    assert "/models/siglip" in stage_of("features", own).data
    hub = configuration(params={"encoder": {**encoder, "path": "google/siglip2"}})
    assert stage_of("features", hub).data == stages["features"].data
    assert stages["ingestion"].data == []


@pytest.mark.parametrize("given", [["a.json", "b.json"], {"train": "a.json", "test-iid": "b.json"}])
def test_every_file_of_several_is_one(given: Any) -> None:
    assert sorted(brought("data", {"annotations": given, "question": "c.json"})) == ["a.json", "b.json"]


def test_the_layout_changes_with_the_catalog_but_not_with_what_people_read_of_it(
    stages: dict[str, Stage],
) -> None:
    config = configuration()
    store = config.catalog["feature_store"]
    said = replace(config, catalog={**config.catalog, "feature_store": {**store, "metadata": {}}})
    other = replace(config, catalog={**config.catalog, "feature_store": {**store, "save_args": {"rows": 1}}})
    assert stage_of("features", said).layout == stages["features"].layout
    assert stage_of("features", other).layout != stages["features"].layout
    assert stage_of("preferences", other).layout == stages["preferences"].layout


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"versioned": True}, "quarantine is versioned, and DVC versions it"),
        ({"type": "json.JSONDataset", "dataset": None}, "quarantine: DVC versions what appears whole"),
    ],
)
def test_what_dvc_cannot_version_is_refused(entry: dict[str, Any], said: str) -> None:
    config = configuration()
    changed = {**config.catalog["quarantine"], **entry}
    catalog = {key: value for key, value in changed.items() if value is not None}
    with pytest.raises(UserError, match=said):
        stage_of("ingestion", replace(config, catalog={**config.catalog, "quarantine": catalog}))


def test_outs_are_kept_and_figures_and_curves_are_told(stages: dict[str, Stage]) -> None:
    place = Place(ROOT, "base")
    document = stages_document(stages.values(), place)
    evaluation = document["stages"]["evaluation"]
    assert all(next(iter(out.values())) == {"persist": True} for out in evaluation["outs"])
    assert evaluation["metrics"] == [{"data/08_reporting/headline.json": {"persist": True}}]
    assert evaluation["cmd"] == "kedro dvc run evaluation"
    curves = next(plot for plot in document["plots"] if "sft_curves loss grounding token" in plot)
    assert curves["sft_curves loss grounding token"]["x"] == {"data/08_reporting/sft_curves.json": "step"}


def test_another_environment_has_files_of_its_own() -> None:
    place = Place(ROOT, "smoke")
    document = stages_document([stage_of("sft", configuration("smoke"))], place)
    sft = document["stages"]["sft"]
    assert place.stages_file == ROOT / "stages/smoke/dvc.yaml"
    assert (sft["cmd"], sft["wdir"]) == ("kedro dvc run sft --env smoke", "../..")
    assert "sft" in sft["params"][0]["stages/smoke/params.yaml"]
    assert document["stages"]["conf"]["deps"] == ["conf/base", "conf/smoke"]
    assert any("../../data/smoke/08_reporting/sft_curves.json" in str(plot) for plot in document["plots"])
