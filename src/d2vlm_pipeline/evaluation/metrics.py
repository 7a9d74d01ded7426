"""Which metrics each task has."""

from d2vlm_pipeline.evaluation.captioning import dense_caption_metrics, region_caption_metrics
from d2vlm_pipeline.evaluation.choice import choice_metrics, grounded_choice_metrics
from d2vlm_pipeline.evaluation.contributions import MetricFunction
from d2vlm_pipeline.evaluation.grounding import (
    COVERAGE,
    DETECTION,
    F1_OF_MEANS,
    FIRST_HIT,
    MIDPOINT,
    Rule,
    first_interval_metrics,
    highlight_metrics,
    localisation_metrics,
    similar_event_metrics,
    summary_metrics,
)

TASK_METRICS: dict[str, MetricFunction] = {
    "tvg": first_interval_metrics,
    "epm": first_interval_metrics,
    "tal": localisation_metrics,
    "evs": summary_metrics,
    "vhd": highlight_metrics,
    "dvc": dense_caption_metrics,
    "slc": dense_caption_metrics,
    "tvc": dense_caption_metrics,
    "rvc": region_caption_metrics,
    "tem": similar_event_metrics,
    "gvq": grounded_choice_metrics,
    "rar": choice_metrics,
    "eca": choice_metrics,
    "rvq": choice_metrics,
    "mcq": choice_metrics,
}
"""Task code to what each sample contributes to each metric."""

INTERVAL_RULES: dict[str, Rule] = {
    "tvg": FIRST_HIT,
    "epm": FIRST_HIT,
    "tal": DETECTION,
    "evs": COVERAGE,
    "vhd": MIDPOINT,
    "dvc": F1_OF_MEANS,
    "slc": F1_OF_MEANS,
    "tvc": F1_OF_MEANS,
    "tem": FIRST_HIT,
    "gvq": FIRST_HIT,
}
"""The rule behind each grounded task's main interval metric: what the interval baselines maximise."""

MAIN_METRICS: dict[str, tuple[str, ...]] = {
    "tvg": ("f1", "miou", "r1@0.5", "absent_recall"),
    "epm": ("f1", "miou", "r1@0.5", "absent_recall"),
    "tal": ("f1",),
    "evs": ("f1",),
    "vhd": ("f1",),
    "dvc": ("cap_f1", "cap_sim", "cap_sim_shuffled"),
    "slc": ("cap_f1", "cap_sim", "cap_sim_shuffled"),
    "tvc": ("cap_f1", "cap_sim", "cap_sim_shuffled"),
    "rvc": ("cap_sim", "cap_sim_shuffled"),
    "tem": ("rec", "miou"),
    "gvq": ("accuracy", "rec", "miou"),
    "rar": ("accuracy",),
    "eca": ("accuracy",),
    "rvq": ("accuracy",),
    "mcq": ("accuracy",),
}
"""What a summary shows of each task, most telling first."""
