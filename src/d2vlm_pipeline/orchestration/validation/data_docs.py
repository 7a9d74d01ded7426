"""The part that speaks to Great Expectations: run a suite, keep its result, rebuild Data Docs.

Imported only when a guard runs: the import costs seconds.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import great_expectations as gx
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from d2vlm_pipeline.orchestration.validation import expectations
from d2vlm_pipeline.orchestration.validation.outcome import DOCS
from d2vlm_pipeline.orchestration.validation.suite import Suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context import AbstractDataContext

__all__ = ["expectations", "validate_and_publish"]  # its import makes the rules known by name

_SEEN_ROWS = 20
_PLACE = "place"
_REPORTING = re.compile(r"https://great-expectations-web-assets[^\"')\s]*")


def validate_and_publish(
    dataset: str, suite: Suite, table: pd.DataFrame, results: Path
) -> list[dict[str, Any]]:
    """Run a suite over a table, show it in the Data Docs of `results`, return a result per expectation.

    The page of a dataset shows its last result: earlier ones are with the MLflow runs they belong to.
    """
    with _alone(results):
        for place in ("store/expectations", "store/validations"):
            _forget(results / place, dataset)
        for place in ("expectations", "validations"):
            _forget(results / DOCS / place, dataset)
        context = _context(results)
        result = _validated(context, dataset, suite, table)
        _publish(context, dataset)
        _cut_reports(results / DOCS)
    by_place = {found.expectation_config.meta[_PLACE]: found for found in result.results}
    return [by_place[place].to_json_dict() for place in range(len(suite.expectations))]


def _validated(context: AbstractDataContext, dataset: str, suite: Suite, table: pd.DataFrame) -> Any:
    entries = [entry.model_dump() for entry in suite.expectations]
    for place, entry in enumerate(entries):
        entry["meta"][_PLACE] = place
    asked = context.suites.add(gx.ExpectationSuite(name=dataset, expectations=entries))
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset(dataset)
    whole = asset.add_batch_definition_whole_dataframe("whole")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=dataset, data=whole, suite=asked)
    )
    return definition.run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": list(suite.meta.rows),
            "partial_unexpected_count": _SEEN_ROWS,
        },
    )


def _publish(context: AbstractDataContext, dataset: str) -> None:
    """The pages of this dataset, and the index over all of them."""
    results = [
        key
        for key in context.validation_results_store.list_keys()
        if isinstance(key, ValidationResultIdentifier) and key.expectation_suite_identifier.name == dataset
    ]
    suite = [ExpectationSuiteIdentifier(dataset)]
    context.build_data_docs(resource_identifiers=suite, build_index=False)
    context.build_data_docs(resource_identifiers=results)


def _cut_reports(docs: Path) -> None:
    """Take out the picture by which a page, when it is opened, tells its maker time and project."""
    for page in sorted(docs.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        quiet = _REPORTING.sub("data:,", text)
        if quiet != text:
            page.write_text(quiet, encoding="utf-8")


def _context(results: Path) -> AbstractDataContext:
    """A context of this one validation: results and suites as files, nothing else outlives it."""

    def files(place: str) -> dict[str, str]:
        return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(results / place)}

    memory = {"class_name": "InMemoryStoreBackend"}
    config = DataContextConfig(
        expectations_store_name="suites",
        validation_results_store_name="results",
        checkpoint_store_name="checkpoints",
        stores={
            "suites": {"class_name": "ExpectationsStore", "store_backend": files("store/expectations")},
            "results": {"class_name": "ValidationResultsStore", "store_backend": files("store/validations")},
            "checkpoints": {"class_name": "CheckpointStore", "store_backend": memory},
            "validation_definition_store": {
                "class_name": "ValidationDefinitionStore",
                "store_backend": memory,
            },
        },
        data_docs_sites={
            "docs": {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": files(DOCS),
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _forget(folder: Path, dataset: str) -> None:
    for path in (folder / dataset, folder / f"{dataset}.json", folder / f"{dataset}.html"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _alone(results: Path) -> Iterator[None]:
    """One process at a time: all rewrite the same index."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
