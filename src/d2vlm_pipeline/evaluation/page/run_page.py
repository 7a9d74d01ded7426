"""The report of a run: scores of all systems, curves, a gallery of one system's answers, what was unread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from d2vlm_pipeline.evaluation.answer_record import AnswerRecord
from d2vlm_pipeline.evaluation.config import EvaluationConfig
from d2vlm_pipeline.evaluation.contributions import Embed, MetricContext
from d2vlm_pipeline.evaluation.metrics import MAIN_METRICS
from d2vlm_pipeline.evaluation.page.blocks import TONES, Block, Chart, Charts, Film, Note, Page, Section
from d2vlm_pipeline.evaluation.page.confidence import confidence_charts
from d2vlm_pipeline.evaluation.page.curves import Systems, duration_chart, length_chart, threshold_chart
from d2vlm_pipeline.evaluation.page.gallery import Judged, choose, gallery_of, judge
from d2vlm_pipeline.evaluation.page.headline import forests, lead, score_tables
from d2vlm_pipeline.evaluation.page.settings import settings
from d2vlm_pipeline.evaluation.page.studies import confidence_studies, studies_section
from d2vlm_pipeline.evaluation.page.unread import verbatim
from d2vlm_pipeline.evaluation.pairs import Pair, match_predictions
from d2vlm_pipeline.evaluation.scores import Scores
from d2vlm_pipeline.evaluation.studies import Studies
from d2vlm_pipeline.evaluation.table import ordered_systems
from d2vlm_pipeline.timeline import TASKS, Prediction, Sample


@dataclass(frozen=True)
class RunMaterial:
    """What a report is made of.

    Attributes:
        samples: the held-out samples that were asked.
        predictions: answers by system.
        durations: video to seconds.
        scores: of every system, as in metrics.json.
        data: digests of what was scored, as in metrics.json.
        system: whose answers the gallery shows.
        models: systems that see the clip; all others are baselines and controls.
        studies: of the system, where they were made.
        records: how the answers of models were made, by system.
        embed: sentence encoder, where the gallery should judge captions by their words' meaning.
    """

    samples: Sequence[Sample]
    predictions: Mapping[str, Sequence[Prediction]]
    durations: Mapping[str, float]
    scores: Mapping[str, Scores]
    data: Mapping[str, str]
    config: EvaluationConfig
    system: str
    models: tuple[str, ...]
    studies: Studies | None = None
    records: Mapping[str, AnswerRecord] = field(default_factory=dict)
    embed: Embed | None = field(default=None, repr=False)

    @cached_property
    def systems(self) -> list[str]:
        """Systems with scores, the shown one first, then models, then baselines from strong to weak."""
        first = [self.system, *(name for name in reversed(self.models) if name != self.system)]
        rest = [name for name in reversed(ordered_systems(list(self.scores))) if name not in first]
        return [name for name in [*first, *rest] if name in self.scores]

    @cached_property
    def tones(self) -> dict[str, int]:
        """A tone for every system; there are `TONES`, enough for all of the contracts."""
        return {name: tone % TONES for tone, name in enumerate(self.systems)}

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """Pairs of every system with answers."""
        held = {name: said for name, said in self.predictions.items() if said}
        return {name: match_predictions(self.samples, said) for name, said in held.items()}

    def of_task(self, task: str) -> Systems:
        """Pairs of one task of the models and of the task's best baseline."""
        looked_at = (self.system, *self.models)
        best = best_baseline(self.scores, self.systems, looked_at, task)
        shown = [name for name in self.systems if name in (*looked_at, best)]
        return {name: [p for p in self.pairs[name] if p.sample.task == task] for name in shown}


def best_baseline(
    scores: Mapping[str, Scores], systems: Sequence[str], models: Sequence[str], task: str
) -> str | None:
    """The baseline with the highest main metric of a task, over its splits; None where none answers it."""
    held = [
        (score["value"], name)
        for name in systems
        if name not in models
        for tasks in scores[name].values()
        if (score := tasks.get(task, {}).get(MAIN_METRICS[task][0])) is not None
    ]
    return max(held)[1] if held else None


def judge_answers(material: RunMaterial, count: int) -> tuple[list[Judged], list[Judged]]:
    """All answers of the shown system, worst first, and those that the gallery shows."""
    context = MetricContext(material.config.thresholds, embed=material.embed)
    judged = judge(material.pairs[material.system], context)
    return judged, choose(judged, count)


def run_page(
    material: RunMaterial,
    judged: Sequence[Judged],
    chosen: Sequence[Judged],
    films: Mapping[str, Film],
    unfilmed: Mapping[str, str],
) -> Page:
    """The report.

    Args:
        material: what was asked, said and scored.
        judged: all answers of the shown system, worst first.
        chosen: those that the gallery shows.
        films: rows of frames by video.
        unfilmed: videos without, and why.
    """
    unparsed = sum(not one.pair.parsed for one in judged)
    clips = {sample.video for sample in material.samples}
    return Page(
        title=f"What {material.system} answers",
        eyebrow=f"Evaluation report · {', '.join(sorted({s.split for s in material.samples}))}",
        lead=lead(material.scores, material.system, material.systems, material.models),
        facts=(
            (f"{len(material.samples)}", "questions"),
            (f"{len(clips)}", "clips"),
            (f"{len(material.systems)}", "systems"),
            (f"{unparsed}", "unparsed answers"),
        ),
        sections=tuple(_sections(material, judged, chosen, films, unfilmed)),
        footer=settings(material.predictions, material.records, material.data, material.config),
    )


def _sections(
    material: RunMaterial,
    judged: Sequence[Judged],
    chosen: Sequence[Judged],
    films: Mapping[str, Film],
    unfilmed: Mapping[str, str],
) -> Iterator[Section]:
    config = material.config
    yield Section(
        "scores",
        "Scores",
        f"Percent, with the {config.confidence:.0%} interval of a bootstrap over clips. Every question "
        "counts: an answer that could not be read, or is missing, is wrong.",
        (
            *forests(material.scores, material.systems, material.tones),
            *score_tables(material.scores, material.systems, material.models),
        ),
    )
    yield Section(
        "curves",
        "Where scores come from",
        "The models beside the best baseline of each task. How strict a hit is, how long the clip is, and "
        "how long the event is. Slices hold about equal numbers of questions.",
        tuple(_curves(material)),
    )
    yield Section(
        "confidence",
        "Confidence",
        "Whether an interval's confidence says how likely it is to be in its place, and how much better the "
        "answers are that remain when the least confident are withheld.",
        # Of answers alone where no study looked closer: the same question should not have two answers.
        confidence_studies(material.studies)
        or confidence_charts(material.pairs, material.models, material.tones, config),
    )
    yield studies_section(material.studies, material.system)
    notes = (Note(f"No frames of {video}: {reason}", is_absence=True) for video, reason in unfilmed.items())
    yield Section(
        "gallery",
        "Answers",
        f"What {material.system} was asked, what is true, and where each half of its answer points. "
        "Pictures show the clip at equal distances.",
        (gallery_of(judged, chosen, material.durations, films), *notes),
    )
    yield Section(
        "unread",
        "What could not be read",
        "Answers that have not the form of a response. They count as wrong.",
        (verbatim(material.pairs, material.systems),),
    )


def _curves(material: RunMaterial) -> Iterator[Block]:
    tasks = [task for task in TASKS if any(s.task == task for s in material.samples)]
    groups = {task: material.of_task(task) for task in tasks}
    tones, config = material.tones, material.config
    rows: dict[str, list[Chart | None]] = {
        "F1 against IoU threshold": [threshold_chart(t, g, tones, config) for t, g in groups.items()],
        "Against the length of the clip": [
            duration_chart(t, g, tones, config, material.durations) for t, g in groups.items()
        ],
        "Against the length of the true intervals": [
            length_chart(t, g, tones, config) for t, g in groups.items()
        ],
    }
    for title, charts in rows.items():
        kept = tuple(chart for chart in charts if chart is not None)
        yield Charts(kept, title) if kept else Note(f"{title}: too few questions, or all alike.", True)
