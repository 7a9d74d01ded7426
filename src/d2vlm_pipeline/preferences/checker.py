"""Is a pair wrong in exactly the recorded factors? Looks at the two responses, not at how they were made."""

from __future__ import annotations

from d2vlm_pipeline.preferences.axes import differing_axes
from d2vlm_pipeline.preferences.claims import claim_problems
from d2vlm_pipeline.preferences.config import OPERATOR_VERSION, ROUNDING_S, SAMPLED, SPECS
from d2vlm_pipeline.timeline import (
    Axis,
    FactorRecord,
    GroundedResponse,
    PreferencePair,
    ResponseError,
    Sample,
    TimeBase,
    parse_response,
)


def check_pair(
    pair: PreferencePair,
    sample: Sample,
    *,
    duration_s: float | None = None,
    timebase: TimeBase | None = None,
) -> list[str]:
    """Faults of a pair, empty for a sound one.

    The chosen side must be the truth, and the rejected one differ from it on the recorded axes and no other
    (read off the two alone), at the recorded events, by the recorded magnitude (each record held against
    what can be seen).

    Args:
        pair: the pair to check.
        sample: the sample it claims to be about.
        duration_s: length of the clip, if intervals are to be held against it.
        timebase: sampled frames of the clip, if the two sides are to differ on frames as well.
    """
    if pair.sample_id != sample.id:
        return [f"about sample {pair.sample_id}, not {sample.id}"]
    problems = [] if pair.chosen == sample.response() else ["chosen is not the truth"]
    if pair.operator_version != OPERATOR_VERSION:
        problems.append(f"operator version {pair.operator_version}, this is version {OPERATOR_VERSION}")
    problems += [problem for factor in pair.factors for problem in _record_problems(factor, pair, sample)]
    unreadable = _rendering_problems(pair.rejected)
    if unreadable:
        return problems + unreadable
    problems += _axis_problems(pair, sample)
    if not problems:
        problems += claim_problems(pair, sample)
    if duration_s is not None:
        late = [each for each in pair.rejected.evidence if each.end_s > duration_s + ROUNDING_S]
        problems += [f"interval ends at {interval.end_s} s of {duration_s} s" for interval in late]
    if timebase is not None and not _differ_on_frames(pair, timebase):
        problems.append("chosen and rejected are the same on the sampled frames")
    return problems


def _axis_problems(pair: PreferencePair, sample: Sample) -> list[str]:
    named = {axis for factor in pair.factors for axis in named_axes(factor)}
    found = differing_axes(pair.chosen, pair.rejected, sample)
    problems = [f"differs in {axis}, which no factor records" for axis in sorted(found - named)]
    return problems + [f"records {axis}, in which the sides agree" for axis in sorted(named - found)]


def named_axes(factor: FactorRecord) -> set[Axis]:
    """The axes that a record names: its own, and those of an option whose letter or words it names."""
    axes: set[Axis] = {factor.axis}
    if "option_to" in factor.magnitude:
        axes.add("option")
    if isinstance(factor.magnitude.get("words"), str):
        axes.add("text")
    return axes


def _record_problems(factor: FactorRecord, pair: PreferencePair, sample: Sample) -> list[str]:
    problems = []
    spec = next((spec for operator, spec in SPECS.items() if operator == factor.operator), None)
    if spec is None and factor.operator != SAMPLED:
        return [f"unknown operator {factor.operator}"]
    if spec is not None and factor.axis not in spec.axes:
        problems.append(f"{factor.operator} records axis {factor.axis} instead of {' or '.join(spec.axes)}")
    if spec is not None and sample.task not in spec.tasks:
        problems.append(f"{factor.operator} is not for task {sample.task}")
    missing = [event_id for event_id in factor.event_ids if event_id >= len(pair.chosen.evidence)]
    return problems + [f"touches event {event_id}, which the answer does not have" for event_id in missing]


def _rendering_problems(response: GroundedResponse) -> list[str]:
    # Records read from files are valid; those that a program copied and changed need not be.
    if any(not 0 <= each.start_s < each.end_s for each in response.evidence):
        return ["an interval of the rejected side does not start before it ends"]
    try:
        read_back = parse_response(response.render(), response.evidence)
    except ResponseError as error:
        return [f"rejected cannot be read back: {error}"]
    return [] if read_back == response else ["rejected is read back as another response"]


def _differ_on_frames(pair: PreferencePair, timebase: TimeBase) -> bool:
    chosen, rejected = (
        [timebase.frames_of(interval) for interval in side.evidence] for side in (pair.chosen, pair.rejected)
    )
    return chosen != rejected or pair.chosen.render() != pair.rejected.render()
