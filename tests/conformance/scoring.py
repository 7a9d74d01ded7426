"""`d2vlm score` on public files, through the command line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from conformance.public import public_file
from d2vlm_pipeline.cli import main


@dataclass(frozen=True)
class PublicFiles:
    """Predictions and truth of a benchmark in the conformance folder."""

    folder: str
    predictions: str
    truths: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        given = ["--predictions", str(public_file(self.folder, self.predictions))]
        option = "--references" if len(self.truths) > 1 else "--ground-truth"
        for truth in self.truths:
            given += [option, str(public_file(self.folder, truth))]
        return given


# Of every benchmark that has public files; the small ones, so that all of them can be scored in a test.
PUBLIC = {
    "activitynet-captions": PublicFiles(
        "activitynet_dvc", "perturbed_pred.json", ("val_1.json", "val_2.json")
    ),
    "charades-sta": PublicFiles("charades_sta", "timechat_pred.json", ("timechat_gt.json",)),
    "etbench": PublicFiles("etbench", "etbench_synthetic_pred.json"),
    "mvbench": PublicFiles("mcq", "mvbench_pred"),
    "qvhighlights": PublicFiles("moment_detr_qvhighlights", "subset_mr_only.jsonl", ("subset_gt.jsonl",)),
    "timechat-vhd": PublicFiles("timechat_vhd", "timechat_vhd_pred.json", ("gt.jsonl",)),
    "video-mme": PublicFiles("mcq", "videomme_pred.json"),
    "youcook2": PublicFiles("youcook2_dvc", "timechat_pred.json", ("val.gt.json",)),
}


def score(benchmark: str, files: PublicFiles, folder: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """The report that the command writes; fails with its message where it ends with an error."""
    out = folder / "report.json"
    arguments = ["score", "--benchmark", benchmark, *files.arguments(), "--json", str(out), *more]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report
