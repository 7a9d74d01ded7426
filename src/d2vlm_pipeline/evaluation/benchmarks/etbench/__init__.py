"""E.T. Bench (Liu et al., NeurIPS 2024): grounding, captioning and choosing in twelve tasks."""

from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Answers, read
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import PROTOCOLS, TRAPS, ETBenchRules
from d2vlm_pipeline.evaluation.benchmarks.etbench.score import score_answers
from d2vlm_pipeline.evaluation.benchmarks.etbench.tools import CaptionTools
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark, Scored


def score(answers: Answers, rules: ETBenchRules) -> Scored:
    """Figures under the rules, with the sentence encoder and METEOR of this process."""
    return score_answers(answers, rules, CaptionTools())


BENCHMARK: Benchmark[Answers, ETBenchRules] = Benchmark(
    name="etbench",
    summary="twelve tasks: per_task_source, overall; in percent the table of 14 figures, evidence, merged",
    read=read,
    score=score,
    protocols=PROTOCOLS,
    traps=TRAPS,
    truth="carried",
)
