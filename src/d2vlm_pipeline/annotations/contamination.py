"""Footage of the test in what models learn from: the same file, or one that looks the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import NonNegativeInt

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.video import VideoRow
from d2vlm_pipeline.video.fingerprints import Fingerprinted, find_twins


class Contamination(StrictModel):
    """What was looked for, and what was found.

    Attributes:
        clips: clips of the scored splits.
        unseen: those of them that could not be looked for, because nothing is known of their file.
        sources: by name of what models learn from, how many clips it has.
        found: a line for each clip of the scored splits that is among them.
    """

    clips: NonNegativeInt
    unseen: NonNegativeInt
    sources: dict[str, NonNegativeInt]
    found: tuple[str, ...]


def find_contamination(
    scored: Iterable[str], rows: Iterable[VideoRow], sources: Mapping[str, Sequence[VideoRow]]
) -> Contamination:
    """Hold every scored clip against everything that models learn from.

    Args:
        scored: names of the clips of the scored splits.
        rows: the video table that has them.
        sources: by name, the rows of the clips that are learned from.
    """
    names = sorted(set(scored))
    known = {row.video: row for row in rows if row.status == "ok"}
    test = [known[name] for name in names if name in known]
    found = [
        line
        for name, learned in sorted(sources.items())
        for line in (*_same_files(test, name, learned), *_lookalikes(test, name, learned))
    ]
    return Contamination(
        clips=len(names),
        unseen=len(names) - len(test),
        sources={name: len(learned) for name, learned in sorted(sources.items())},
        found=tuple(found),
    )


def _same_files(test: Sequence[VideoRow], source: str, learned: Sequence[VideoRow]) -> list[str]:
    by_digest = {row.digest: row.video for row in learned if row.digest is not None}
    return [
        f"{row.video} is {by_digest[row.digest]} of {source}" for row in test if row.digest in by_digest
    ]


def _lookalikes(test: Sequence[VideoRow], source: str, learned: Sequence[VideoRow]) -> list[str]:
    """Near duplicates; footage that is the same to the byte is told of already."""
    digests = {row.digest for row in learned}
    # Names may mean different files in different tables, and a video is not held against its own name.
    scored = [
        Fingerprinted(f"test: {row.video}", "test", row.fingerprint)
        for row in test
        if row.digest not in digests
    ]
    others = [Fingerprinted(f"learned: {row.video}", "learned", row.fingerprint) for row in learned]
    twins = find_twins([*scored, *others])
    return [
        f"{row.video} looks like {twin.video.removeprefix('learned: ')} of {source} "
        f"({100 * twin.share:.0f} % of the frames agree)"
        for row in test
        if (twin := twins.get((f"test: {row.video}", "test"))) is not None
    ]
