"""For every suite a table that passes, and for every expectation of it a table that does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from annotations.samples import tvg
from d2vlm_pipeline.annotations import FootageCheck, check_footage
from d2vlm_pipeline.preferences import DonorPool, PairCheck, PreferenceConfig, check_pairs, synthesize_pairs
from d2vlm_pipeline.timeline import FactorRecord, PreferencePair, Sample
from d2vlm_pipeline.video import VideoRow

SUITES = Path(__file__).parents[3] / "great_expectations"
Break = Callable[[pd.DataFrame], pd.DataFrame]


def sample(sample_id: str, video: str = "a.mp4", split: str = "train", **changes: Any) -> Sample:
    return Sample.model_validate(tvg(sample_id, video, split=split, **changes))


def listing(sample_id: str, *starts_s: float) -> Sample:
    """A `tal` sample with an event of a second at each of the starts, in the order given."""
    events = [{"start_s": start_s, "end_s": start_s + 1.0, "caption": "it blinks"} for start_s in starts_s]
    answer = ", ".join(["<evi>"] * len(events))
    return sample(sample_id, task="tal", events=events, answer=f"It happens in {answer}.")


def video(name: str = "a.mp4", digest: str = "a" * 64, **changes: Any) -> VideoRow:
    facts = {"video": name, "path": f"/data/{name}", "digest": digest, "duration_s": 10.0, "fps_src": 8.0,
             "width": 64, "height": 48, "frames": 80, "start_s": 0.0, "timebase_digest": "t",
             "status": "ok"}  # fmt: skip
    return VideoRow.model_validate(facts | changes)


def refused(name: str) -> VideoRow:
    return VideoRow(video=name, path=f"/data/{name}", status="quarantined", reason="empty", detail="empty")


SAMPLES = [sample("s1"), sample("s2"), sample("s3", "b.mp4", "test-iid"), listing("s4", 1.0, 3.0, 3.0)]
VIDEOS = [video(f"{name}.mp4", digest=name * 64) for name in "abcdef0123456789"] + [refused("bad.mp4")]


def pair(name: str = "s1/shift/0", start_s: float = 6.0, operator: str = "shift") -> PreferencePair:
    """The first sample with its event moved to start_s … start_s + 2."""
    chosen = SAMPLES[0].response()
    moved = chosen.evidence[0].model_copy(update={"start_s": start_s, "end_s": start_s + 2.0})
    return PreferencePair(
        id=name,
        sample_id="s1",
        chosen=chosen,
        rejected=chosen.model_copy(update={"evidence": (moved,)}),
        factors=(FactorRecord(operator=operator, axis="boundaries", event_ids=(0,)),),
        seed=1,
        operator_version="1",
    )


PAIRS = [pair(), pair("s1/resize/0", operator="resize")]
SHIFTED = list(
    synthesize_pairs(SAMPLES[:1], {"a.mp4": 10.0}, PreferenceConfig(), donors=DonorPool.of(SAMPLES))
)

RECORDS: dict[str, list[Any]] = {
    "raw_annotations": SAMPLES,
    "video_table": VIDEOS,
    "samples": SAMPLES,
    "samples_gate": check_footage(SAMPLES, VIDEOS),
    "preference_pairs": PAIRS,
    "pairs_gate": list(check_pairs(SHIFTED, SAMPLES, {"a.mp4": 10.0})),
}
"""By suite: records that its dataset may hold, which pass."""



def _set(column: str, value: Any, row: int = 0) -> Break:
    """The value in one row of a column, in the place of what stood there."""

    def broken(good: pd.DataFrame) -> pd.DataFrame:
        changed = good.astype({column: object})
        changed.loc[row, column] = value
        return changed

    return broken


def _repeated(column: str) -> Break:
    """The first row's value in the second row, too."""
    return lambda good: _set(column, good.loc[0, column], row=1)(good)


def _everywhere(column: str, value: Any) -> Break:
    return lambda good: good.assign(**{column: value})


def _emptied(good: pd.DataFrame) -> pd.DataFrame:
    return good.iloc[:0]


def _twin(good: pd.DataFrame) -> pd.DataFrame:
    return good.assign(twin="c.mp4", twin_split="test-iid").iloc[:1]


BREAKS: dict[tuple[str, str, str], Break] = {
    ("raw_annotations", "expect_table_row_count_to_be_between", ""): _emptied,
    ("raw_annotations", "expect_column_values_to_be_in_set", "readable"): _set("readable", False),
    ("raw_annotations", "expect_column_values_to_be_unique", "id"): _repeated("id"),
    ("raw_annotations", "expect_column_values_to_be_in_set", "task"): _set("task", "tgv"),
    ("raw_annotations", "expect_footage_in_one_split", "video, split"): _set("split", "val"),
    ("video_table", "expect_table_row_count_to_be_between", ""): _emptied,
    ("video_table", "expect_column_values_to_be_in_set", "status"): _set("status", "fine"),
    ("video_table", "expect_column_values_to_be_unique", "accepted"): _repeated("accepted"),
    (
        "video_table",
        "expect_facts_of_accepted_videos",
        "status, reason, digest, duration_s, frames",
    ): _set("duration_s", None),
    ("video_table", "expect_column_values_to_match_regex", "digest"): _set("digest", "abc"),
    ("video_table", "expect_column_values_to_be_between", "duration_s"): _set("duration_s", 0.0),
    ("video_table", "expect_column_values_to_be_unique", "digest"): _repeated("digest"),
    ("video_table", "expect_column_values_to_be_in_set", "status (most)"): lambda good: good.iloc[-3:],
    ("samples", "expect_table_row_count_to_be_between", ""): _emptied,
    ("samples", "expect_column_values_to_be_unique", "id"): _repeated("id"),
    ("samples", "expect_column_values_to_be_in_set", "task"): _set("task", "tgv"),
    ("samples", "expect_footage_in_one_split", "video, split"): _set("split", "test-iid"),
    ("samples", "expect_column_values_to_be_between", "first_s"): _set("first_s", -0.5),
    ("samples", "expect_evidence_in_order", "task, least_step_s"): _set("least_step_s", -2.0, row=3),
    ("samples", "expect_column_distinct_values_to_contain_set", "split"): _everywhere("split", "test"),
    (
        "samples_gate",
        "expect_intervals_inside_video",
        "latest_sample, first_s, latest_s, duration_s",
    ): _set("latest_s", 10.1),
    ("samples_gate", "expect_footage_in_one_split", "digest, split"): _repeated("digest"),
    ("samples_gate", "expect_no_near_duplicate_across_splits", "split, twin, twin_split"): _twin,
    ("preference_pairs", "expect_column_values_to_be_unique", "id"): _repeated("id"),
    (
        "preference_pairs",
        "expect_chosen_to_differ_from_rejected",
        "chosen, rejected",
    ): lambda good: good.assign(rejected=good["chosen"]),
    ("preference_pairs", "expect_column_values_to_match_regex", "axis"): _set("axis", "boundary"),
    (
        "preference_pairs",
        "expect_column_unique_value_count_to_be_between",
        "operator_version",
    ): _set("operator_version", "0"),
    ("preference_pairs", "expect_column_unique_value_count_to_be_between", "operator"): _everywhere(
        "operator", "shift"
    ),
    ("pairs_gate", "expect_table_row_count_to_be_between", ""): _emptied,
    ("pairs_gate", "expect_factor_label_to_match_edit", "operators, faults"): _set(
        "faults", "differs in text, which no factor records"
    ),
    ("pairs_gate", "expect_column_values_to_be_in_set", "split"): _set("split", "test-iid"),
}
"""By suite, expectation and columns: what makes a passing table fail that expectation."""


def footage(**changes: Any) -> FootageCheck:
    """A sound row of the gate, changed."""
    return RECORDS["samples_gate"][0].model_copy(update=changes)


def checked(**changes: Any) -> PairCheck:
    return RECORDS["pairs_gate"][0].model_copy(update=changes)
