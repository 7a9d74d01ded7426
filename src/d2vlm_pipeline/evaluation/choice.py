"""Which option: grounded questions, referring questions and plain multiple choice.

The option is the letter that the answer names; nothing is guessed from its words.
"""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.contributions import Contribution, MetricContext, at_thresholds, mean_of
from d2vlm_pipeline.evaluation.grounding import answer_form, first_ious, present
from d2vlm_pipeline.evaluation.overlap import reaches
from d2vlm_pipeline.evaluation.pairs import SUFFIX, Pair


def choice_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """mcq, rar, eca, rvq: `accuracy`."""
    return {"accuracy": mean_of(pairs, [pair.is_right_option for pair in pairs])} if pairs else {}


def grounded_choice_metrics(pairs: Sequence[Pair], context: MetricContext) -> dict[str, Contribution]:
    """gvq: `accuracy`; `rec` (mean of `rec@τ`): right option and interval; `miou` of any answer."""
    metrics = choice_metrics(pairs, context) | answer_form(pairs)
    shown = present(pairs)
    right = np.array([pair.is_right_option for pair in shown], dtype=np.float64)
    for half, suffix in SUFFIX.items() if shown else ():
        ious = first_ious(shown, half)
        hits_RT = reaches(ious, context.thresholds) * right[:, None]
        metrics[f"rec{suffix}"] = mean_of(shown, hits_RT.mean(axis=1))
        metrics[f"miou{suffix}"] = mean_of(shown, ious)
        for name, hits in zip(at_thresholds("rec", context.thresholds), hits_RT.T, strict=True):
            metrics[name + suffix] = mean_of(shown, hits)
    return metrics
