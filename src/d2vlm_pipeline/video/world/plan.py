"""From a seed to clip plans: which events, when, with what nuisance. Pure and cheap; no pixel is drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import permutations

from d2vlm_pipeline.artifacts import StrictModel, UserError, derive_seed
from d2vlm_pipeline.video.world.config import WorldConfig
from d2vlm_pipeline.video.world.vocabulary import ACTIONS, CLASSES, COLOURS, Triple

_GAP_S = 0.5  # between events that do not overlap, so that onset ramps never meet
# Of the default world 93 % of draws fit; where none of so many does, a world asks for what cannot be.
_MOST_DRAWS = 20_000


class PlannedEvent(StrictModel):
    """One annotated event; start and end are where its visibility passes half height."""

    triple: Triple
    start_s: float
    end_s: float
    ramp_in_s: float
    ramp_out_s: float
    lane_y: float  # centre height as a share of the frame
    spot_x: float  # resting place as a share of the width
    from_left: bool  # the edge that an entering or leaving object uses


class Nuisance(StrictModel):
    """What changes the pixels and must not change the answer."""

    backgrounds: tuple[int, ...]  # seed of the background shown in each shot
    cuts_s: tuple[float, ...]
    pan: tuple[float, float]  # total drift over the clip, as a share of the frame
    flicker: float
    noise_std: float
    occluder_x: float | None
    stray_s: tuple[float, float] | None  # an unannotated grey object drifts through


class ClipPlan(StrictModel):
    """Everything that rendering and questioning one clip needs."""

    clip_id: str
    split: str
    seed: int
    width: int
    height: int
    fps: float
    crf: int
    duration_s: float
    events: tuple[PlannedEvent, ...]
    nuisance: Nuisance

    @property
    def video(self) -> str:
        """File name of the clip inside the world's folder."""
        return f"{self.clip_id}.mp4"


def plan_world(config: WorldConfig) -> list[ClipPlan]:
    """Plan every clip of the world; each clip depends on the seed and its own id alone.

    Raises:
        UserError: its events do not fit into its clips.
    """
    plans: list[ClipPlan] = []
    for split, count in config.splits.by_name.items():
        plans.extend(_plan_clip(config, split, f"{split}-{index:04d}") for index in range(count))
    return plans


def _plan_clip(config: WorldConfig, split: str, clip_id: str) -> ClipPlan:
    seed = derive_seed(config.seed, "world", clip_id)
    rng = random.Random(seed)
    fps = rng.choice(config.rates)
    duration_s = math.floor(rng.uniform(config.min_duration_s, config.max_duration_s) * fps) / fps
    width, height = rng.choice(config.sizes)
    triples = _draw_triples(rng, config, duration_s)
    events = _schedule(rng, config, triples, duration_s)
    return ClipPlan(
        clip_id=clip_id,
        split=split,
        seed=seed,
        width=width,
        height=height,
        fps=fps,
        crf=rng.randint(*config.crf),
        duration_s=duration_s,
        events=tuple(events),
        nuisance=_draw_nuisance(rng, events, duration_s),
    )


def _draw_triples(rng: random.Random, config: WorldConfig, duration_s: float) -> list[Triple]:
    """Events that are one another's near-misses: each but the first changes one attribute of another."""
    # A short clip cannot hold five events of the tier's length without becoming mostly event.
    most = min(config.max_events, max(config.min_events, int(duration_s // (1.6 * config.event_median_s))))
    count = rng.randint(config.min_events, most)
    repeated = rng.random() < config.repeat_share
    copies = rng.randint(2, min(4, count - 1)) if repeated else 1
    base = Triple(rng.choice(COLOURS), rng.choice(CLASSES), rng.choice(ACTIONS))
    distinct = [base]
    while len(distinct) < count - copies + 1:
        candidate = mutate(rng, rng.choice(distinct))
        if candidate not in distinct:
            distinct.append(candidate)
    triples = distinct + [base] * (copies - 1)
    rng.shuffle(triples)
    return triples


def mutate(rng: random.Random, triple: Triple) -> Triple:
    """A near-miss: another value for one of the three attributes."""
    place = rng.randrange(3)
    pool = (COLOURS, CLASSES, ACTIONS)[place]
    value = rng.choice([option for option in pool if option != triple[place]])
    parts = [value if index == place else kept for index, kept in enumerate(triple)]
    return Triple(*parts)  # type: ignore[arg-type]


def _schedule(
    rng: random.Random, config: WorldConfig, triples: list[Triple], duration_s: float
) -> list[PlannedEvent]:
    draw = rng.random()
    lengths = _draw_lengths(rng, config, len(triples), duration_s)
    spans = list(_place(rng, lengths, duration_s))
    if draw < config.nested_share:
        spans = _nest_two(rng, spans)
    elif draw < config.overlap_share:
        spans = _overlap_two(rng, spans)
    # Two objects on the screen at once need a lane each, or one would hide the other.
    lanes = [0.34, 0.68]
    rng.shuffle(lanes)
    order = sorted(range(len(spans)), key=lambda index: spans[index])
    events = []
    for place, index in enumerate(order):
        start_s, end_s = spans[index]
        events.append(
            PlannedEvent(
                triple=triples[place],
                start_s=round(start_s, 3),
                end_s=round(end_s, 3),
                ramp_in_s=round(rng.uniform(0.3, 0.8), 3),
                ramp_out_s=round(rng.uniform(0.3, 0.8), 3),
                lane_y=lanes[place % 2] + rng.uniform(-0.04, 0.04),
                spot_x=rng.uniform(0.28, 0.72),
                from_left=rng.random() < 0.5,
            )
        )
    return events


def _draw_lengths(rng: random.Random, config: WorldConfig, count: int, duration_s: float) -> list[float]:
    for _ in range(_MOST_DRAWS):
        drawn = [
            rng.lognormvariate(math.log(config.event_median_s), config.event_sigma) for _ in range(count)
        ]
        lengths = [min(config.max_event_s, max(config.min_event_s, length)) for length in drawn]
        if sum(lengths) + _GAP_S * (count + 1) <= 0.9 * duration_s:
            return lengths
    raise UserError(
        f"demo world: a clip of {duration_s:g} s has no room for {count} events of about "
        f"{config.event_median_s:g} s; raise its min_duration_s, or lower event_median_s and min_event_s"
    )


def _place(rng: random.Random, lengths: list[float], duration_s: float) -> Iterator[tuple[float, float]]:
    """Uniform arrangement without overlap: the free time is cut at uniform points."""
    free_s = duration_s - sum(lengths) - _GAP_S * (len(lengths) + 1)
    cuts = sorted(rng.uniform(0.0, free_s) for _ in lengths)
    clock_s, before_s = 0.0, 0.0
    for length, cut_s in zip(lengths, cuts, strict=True):
        clock_s += _GAP_S + cut_s - before_s
        yield clock_s, clock_s + length
        clock_s, before_s = clock_s + length, cut_s


def _nest_two(rng: random.Random, spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move one event into a longer one, half a second clear of both its ends."""
    lengths = [end_s - start_s for start_s, end_s in spans]
    pairs = [pair for pair in permutations(range(len(spans)), 2) if lengths[pair[1]] < lengths[pair[0]] - 1.0]
    if not pairs:
        return _overlap_two(rng, spans)
    outer, inner = rng.choice(pairs)
    start_s = rng.uniform(spans[outer][0] + 0.5, spans[outer][1] - lengths[inner] - 0.5)
    return [*spans[:inner], (start_s, start_s + lengths[inner]), *spans[inner + 1 :]]


def _overlap_two(rng: random.Random, spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move one event so that it overlaps the one before it in time."""
    first = rng.randrange(len(spans) - 1)
    (a_start, a_end), (b_start, b_end) = spans[first], spans[first + 1]
    a_len, b_len = a_end - a_start, b_end - b_start
    start_s = a_end - rng.uniform(0.3, 0.6) * min(a_len, b_len)
    return [*spans[: first + 1], (start_s, start_s + b_len), *spans[first + 2 :]]


def _draw_nuisance(rng: random.Random, events: list[PlannedEvent], duration_s: float) -> Nuisance:
    edges = [edge for event in events for edge in (event.start_s, event.end_s)]
    drawn = [rng.uniform(1.0, duration_s - 1.0) for _ in range(rng.randint(0, 3))]
    cuts = sorted(cut for cut in drawn if min(abs(cut - edge) for edge in edges) > 1.0)
    stray_start = rng.uniform(0.0, duration_s - 4.0)
    return Nuisance(
        backgrounds=tuple(rng.getrandbits(32) for _ in range(len(cuts) + 1)),
        cuts_s=tuple(round(cut, 3) for cut in cuts),
        pan=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
        flicker=rng.uniform(0.0, 0.1),
        noise_std=rng.uniform(0.0, 6.0),
        occluder_x=rng.uniform(0.1, 0.9) if rng.random() < 0.25 else None,
        stray_s=(stray_start, stray_start + rng.uniform(2.0, 4.0)) if rng.random() < 0.4 else None,
    )
