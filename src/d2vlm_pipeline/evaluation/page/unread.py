"""What systems emitted that could not be read, word for word."""

from collections import Counter
from collections.abc import Mapping, Sequence

from d2vlm_pipeline.evaluation.page.blocks import Unread, Verbatim
from d2vlm_pipeline.evaluation.pairs import Pair

SHOWN = 100
"""At most so many are shown verbatim; all are counted."""


def verbatim(pairs: Mapping[str, Sequence[Pair]], systems: Sequence[str]) -> Verbatim:
    """Unparsed answers of all systems, in their order; counts by reason."""
    unread = [
        Unread(
            id=pair.sample.id,
            group=pair.sample.task,
            system=system,
            reason=pair.prediction.parse_error or "",
            raw=pair.prediction.raw,
        )
        for system in systems
        for pair in pairs.get(system, ())
        if pair.prediction is not None and not pair.prediction.parsed
    ]
    counts = Counter((one.system, one.reason) for one in unread)
    reasons = tuple((system, reason, count) for (system, reason), count in counts.most_common())
    return Verbatim(items=tuple(unread[:SHOWN]), total=len(unread), reasons=reasons)
