"""E.T. Bench under one protocol: figures of every source, of every task, and merged over tasks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from d2vlm_pipeline.artifacts import collector_paused
from d2vlm_pipeline.evaluation.benchmarks.etbench.chosen import chosen_part, grounded_part
from d2vlm_pipeline.evaluation.benchmarks.etbench.described import described_part
from d2vlm_pipeline.evaluation.benchmarks.etbench.figures import (
    Figure,
    Part,
    mean_over_sources,
    measure,
    rows_of,
)
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import DESCRIBED, Answers, Item, refuse_mistakes
from d2vlm_pipeline.evaluation.benchmarks.etbench.located import highlight_part, located_part
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ETBenchRules
from d2vlm_pipeline.evaluation.benchmarks.etbench.tools import CaptionTools
from d2vlm_pipeline.evaluation.benchmarks.records import Counts, Measure, Query, Scored, Tree

PER_SOURCE, OVERALL, MERGED = "per_task_source", "overall", "merged"
TABLE, EVIDENCE = "table", "evidence"

COLUMNS: dict[str, tuple[str, str]] = {
    "RAR": ("rar", "Acc"),
    "EVC": ("eca", "Acc"),
    "RVQ": ("rvq", "Acc"),
    "TVG": ("tvg", "F1"),
    "EPM": ("epm", "F1"),
    "TAL": ("tal", "F1"),
    "EVS": ("evs", "F1"),
    "VHD": ("vhd", "F1"),
    "DVC_F1": ("dvc", "F1"),
    "DVC_Sim": ("dvc", "SentSim"),
    "SLC_F1": ("slc", "F1"),
    "SLC_Sim": ("slc", "SentSim"),
    "TEM": ("tem", "mRec"),
    "GVQ": ("gvq", "mRec"),
}
"""The benchmark's table: column to task and figure."""

ABILITIES: dict[str, tuple[str, ...]] = {
    "Acc (ref)": ("RAR", "EVC", "RVQ"),
    "F1 (gnd)": ("TVG", "EPM", "TAL", "EVS", "VHD"),
    "F1 (cap)": ("DVC_F1", "SLC_F1"),
    "Sim (cap)": ("DVC_Sim", "SLC_Sim"),
    "Rec (com)": ("TEM", "GVQ"),
}
"""The benchmark's merged table: ability to the columns whose mean it is."""

Columns = Mapping[str, Sequence[tuple[Part, Figure]]]

_LOCATED = ("tvg", "epm", "tem", "tal", "evs")


def score_answers(answers: Answers, rules: ETBenchRules, tools: CaptionTools) -> Scored:
    """Figures of every source and their means by task as shares of 1; the benchmark's tables in percent.

    Raises:
        UserError: of duplicates, unknown predictions and impossible truth, where the rules refuse them.
    """
    if rules.refuses:
        refuse_mistakes(answers)
    with collector_paused():
        return _scored(answers, rules, tools)


def _scored(answers: Answers, rules: ETBenchRules, tools: CaptionTools) -> Scored:
    parts = _parts(answers.items, rules, tools)
    columns = {name: found for name in COLUMNS if (found := _column(parts, name, ""))}
    twins = {name: found for name in COLUMNS if (found := _column(parts, name, "_evi"))}
    overall, evidence = _means(columns, rules), _means(twins, rules)
    merged = {
        name: 100 * sum(overall[column] for column in members) / len(members)
        for name, members in ABILITIES.items()
        if all(column in overall for column in members)
    }
    queries = tuple(query for part in parts for query in _queries(part))
    return Scored(
        metrics={
            PER_SOURCE: _tree(parts, rules),
            OVERALL: dict(overall),
            TABLE: {name: 100 * value for name, value in overall.items()},
            EVIDENCE: {name: 100 * value for name, value in evidence.items()},
        },
        measures=(
            *_column_measures({TABLE: 100.0, OVERALL: 1.0}, columns),
            *_column_measures({EVIDENCE: 100.0}, twins),
            *_source_measures(parts),
        ),
        queries=queries,
        counts=_counts(answers, queries),
        headline=(*((TABLE, name) for name in columns), *((EVIDENCE, name) for name in twins)),
        unavailable=dict(tools.unavailable),
        tables={MERGED: dict(merged)},
    )


def _parts(items: Sequence[Item], rules: ETBenchRules, tools: CaptionTools) -> list[Part]:
    """Every source of every task, in the order in which they appear."""
    sources: dict[str, dict[str, list[Item]]] = {}
    for item in items:
        sources.setdefault(item.task, {}).setdefault(item.source, []).append(item)
    return [
        _part(task, source, members, rules, tools)
        for task, found in sources.items()
        for source, members in found.items()
    ]


def _part(
    task: str, source: str, items: Sequence[Item], rules: ETBenchRules, tools: CaptionTools
) -> Part:
    if task in _LOCATED:
        return located_part(task, source, items, rules)
    if task == "vhd":
        return highlight_part(task, source, items, rules)
    if task == "gvq":
        return grounded_part(task, source, items, rules, tools.embed)
    if task in DESCRIBED:
        return described_part(task, source, items, rules, tools)
    return chosen_part(task, source, items, rules, tools.embed)


def _column(parts: Sequence[Part], name: str, suffix: str) -> list[tuple[Part, Figure]]:
    """The sources of a column with their figure, of those that have it."""
    task, wanted = COLUMNS[name]
    return [(part, found) for part in parts if part.task == task and (found := part.figure(wanted + suffix))]


def _means(columns: Columns, rules: ETBenchRules) -> dict[str, float]:
    """Mean of each column over its sources."""
    found = {name: [_shown(figure, rules) for _, figure in column] for name, column in columns.items()}
    return {name: _rounded(sum(values) / len(values), rules) for name, values in found.items()}


def _tree(parts: Sequence[Part], rules: ETBenchRules) -> Tree:
    tree: dict[str, dict[str, Tree]] = {}
    for part in parts:
        figures = {figure.name: _shown(figure, rules) for figure in part.figures}
        counted: Tree = {"Total": len(part.items), "Failed": part.failed, **figures, **part.extras}
        tree.setdefault(part.task, {})[part.source] = counted
    return {task: dict(sources) for task, sources in tree.items()}


def _shown(figure: Figure, rules: ETBenchRules) -> float:
    return _rounded(figure.value, rules)


def _rounded(value: float, rules: ETBenchRules) -> float:
    return value if rules.decimals is None else round(value, rules.decimals)


def _column_measures(units: Mapping[str, float], columns: Columns) -> Iterator[Measure]:
    """Of each column a measure for each table that it stands in, in the table's unit."""
    for name, found in columns.items():
        rows = rows_of([item for part, _ in found for item in part.items])
        mean = mean_over_sources([figure for _, figure in found])
        yield from (measure((table, name), rows, mean, unit) for table, unit in units.items())


def _source_measures(parts: Sequence[Part]) -> Iterator[Measure]:
    for part in parts:
        rows = rows_of(part.items)
        for figure in part.figures:
            yield measure((PER_SOURCE, part.task, part.source, figure.name), rows, figure)


def _queries(part: Part) -> Iterator[Query]:
    for item, was_read, said in zip(part.items, part.read, part.said, strict=True):
        if not item.surplus:
            yield Query(
                id=item.name,
                video=item.video,
                status="missing" if item.answer is None else "parsed" if was_read else "unparsed",
                question=item.question,
                truth=item.truth,
                said=said,
                answer=item.answer or "",
                group=f"{part.task}/{part.source}",
                duration_s=item.duration_s,
            )


def _counts(answers: Answers, queries: Sequence[Query]) -> Counts:
    """Of questions: predictions beyond the first of each are counted as duplicates alone."""
    states = Counter(query.status for query in queries)
    return Counts(
        queries=states.total(),
        parsed=states["parsed"],
        unparsed=states["unparsed"],
        missing=states["missing"],
        duplicates=sum(item.surplus for item in answers.items),
        unknown=len(answers.unknown),
    )
