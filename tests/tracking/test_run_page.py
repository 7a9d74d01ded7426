"""The description of a run: what it says, what it links, and that MLflow takes it."""

import json
from pathlib import Path
from typing import Any

from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from d2vlm_pipeline.tracking.run_page import RunPage, description, log_run_page, shortened

GATE = {
    "name": "floor test-iid/tvg/f1",
    "figure": "84.53 %",
    "threshold": "30.00 %",
    "margin": "+54.53 %",
    "outcome": "passed",
}
HEADLINE = {
    "test-iid": {"sft": {"tvg": {"f1": 80.0}}, "fpo": {"tvg": {"f1": 84.53}, "mcq": {"accuracy": None}}}
}
HOME = "#/experiments/1/runs/r/artifacts"


def page(**changes: Any) -> RunPage:
    return RunPage(**{"pipelines": ["sft", "fpo"], "env": "smoke", "ran": 3, "skipped": 0} | changes)


def test_it_says_what_ran() -> None:
    assert description(page(), set(), HOME) == "**sft → fpo** in environment `smoke`: 3 nodes ran.\n"
    assert "1 nodes ran, 20 were up to date" in description(page(ran=1, skipped=20), set(), HOME)


def test_scores_stand_beside_each_other_and_what_was_not_scored_is_a_dash() -> None:
    said = description(page(headline=HEADLINE), set(), HOME)
    assert "| task | metric | sft | fpo |\n|---|---|---:|---:|\n| tvg | f1 | 80.0 | 84.5 |\n" in said
    assert "| mcq | accuracy | – | – |" in said


def test_it_links_only_what_is_there() -> None:
    said = description(page(verdict="**Promoted.** Well."), {"report", "lineage", "model"}, HOME)
    assert "### Promotion\n\n**Promoted.** Well." in said
    assert f"[report/report.html]({HOME}/report/report.html)" in said and "lineage/lineage.json" in said
    assert "samples" not in said and "gates" not in said


def test_a_long_page_is_cut_at_a_line_and_says_so() -> None:
    cut = shortened("a line\n" * 2000)
    assert len(cut) <= 8000 and cut.endswith("a line\n… (cut: MLflow keeps no longer descriptions)\n")
    assert shortened("short") == "short"


def test_mlflow_shows_the_page_and_the_gates_as_a_table(
    tracking: TrackingConfig, run_id: str, tmp_path: Path
) -> None:
    client = tracking_client(tracking)
    client.log_text(run_id, "<html></html>", "report/report.html")
    log_run_page(tracking, run_id, page(headline=HEADLINE, verdict="**Promoted.**", gates=[GATE]))
    run = client.get_run(run_id)
    note = run.data.tags["mlflow.note.content"]
    assert f"/runs/{run_id}/artifacts/report/report.html" in note and "promotion/gates.json" in note
    table = json.loads(
        Path(client.download_artifacts(run_id, "promotion/gates.json", str(tmp_path))).read_text()
    )
    assert (table["columns"], table["data"]) == (list(GATE), [list(GATE.values())])
