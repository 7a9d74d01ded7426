"""Scores of all systems: as a sentence, as dots on a common scale, as a table."""

from collections.abc import Iterator, Mapping, Sequence

from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS
from d2vlm_pipeline.evaluation.page.blocks import Dot, Forest, Forests, ScoreRow, ScoreTable
from d2vlm_pipeline.evaluation.scores import Score, Scores

CONTROLS = ("cap_sim_shuffled",)
"""Metrics that say what a score is worth without being one: more is not better."""

SystemScores = Mapping[str, Scores]


def lead(scores: SystemScores, system: str, systems: Sequence[str], models: Sequence[str]) -> str:
    """What was found, in a sentence: on how many tasks the system beats every baseline, and how clearly."""
    ahead = clear = tasks = 0
    for split, of_split in scores[system].items():
        for task in of_split:
            own = of_split[task].get(MAIN_METRICS[task][0])
            others = [
                score
                for name in systems
                if name not in (system, *models) and (score := _find(scores, name, split, task)) is not None
            ]
            if own is None or not others:
                continue
            tasks += 1
            ahead += own["value"] > max(score["value"] for score in others)
            clear += own["low"] > max(score["high"] for score in others)
    if not tasks:
        return f"{system}, without a baseline to compare it with."
    return (
        f"On {ahead} of {tasks} tasks {system} is ahead of everything that does not see the clip, "
        f"on {clear} of them with intervals that do not touch."
    )


def forests(scores: SystemScores, systems: Sequence[str], tones: Mapping[str, int]) -> Iterator[Forests]:
    """One panel for every task, by split: the main metric of all systems."""
    splits = _splits(scores)
    for split in splits:
        panels = []
        for task, (main, *_) in MAIN_METRICS.items():
            found = {name: _find(scores, name, split, task) for name in systems}
            dots = tuple(Dot(name, tones[name], score) for name, score in found.items() if score is not None)
            if dots:
                title = task if len(splits) == 1 else f"{task} · {split}"
                panels.append(Forest(title, main, dots))
        yield Forests(tuple(panels))


def score_tables(scores: SystemScores, systems: Sequence[str], models: Sequence[str]) -> Iterator[ScoreTable]:
    """One table for every split: all main metrics of all systems, the shown one first."""
    columns = tuple(systems)
    for split in _splits(scores):
        rows = []
        for task, metrics in MAIN_METRICS.items():
            for metric in metrics:
                cells = tuple(_find(scores, name, split, task, metric) for name in columns)
                if any(cell is not None for cell in cells):
                    rows.append(ScoreRow(task, metric, cells, metric in CONTROLS))
        yield ScoreTable(f"All systems on {split}", columns, tuple(rows), main=tuple(models))


def _splits(scores: SystemScores) -> list[str]:
    return sorted({split for of_system in scores.values() for split in of_system})


def _find(
    scores: SystemScores, system: str, split: str, task: str, metric: str | None = None
) -> Score | None:
    return scores[system].get(split, {}).get(task, {}).get(metric or MAIN_METRICS[task][0])
