"""Task codes, lower case, and the groups they form."""

GROUNDING_TASKS = ("tvg", "epm", "tal", "evs", "vhd")
"""Answer with intervals alone: moment, episodic memory, action localisation, summary, highlight."""

CAPTION_TASKS = ("dvc", "slc", "tvc", "rvc")
"""Answer with descriptions: dense captions, steps, timed captions, and one caption of a given region."""

COMPLEX_TASKS = ("tem", "gvq")
"""Answer by reasoning and show the evidence: similar event, grounded question."""

REFERRING_TASKS = ("rar", "eca", "rvq")
"""Choose an option about the interval in the question; the answer itself is not grounded."""

MCQ_TASKS = ("mcq",)
"""Choose an option about the whole clip, ungrounded; shows what training makes a model forget."""

TASKS = GROUNDING_TASKS + CAPTION_TASKS + COMPLEX_TASKS + REFERRING_TASKS + MCQ_TASKS

GROUNDED_TASKS = (*GROUNDING_TASKS, "dvc", "slc", "tvc", *COMPLEX_TASKS)
"""Tasks whose answer points at intervals: as many `<evi>` in it as there are events."""
