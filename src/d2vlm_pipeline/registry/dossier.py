"""What promotion decides on: all that was measured of one system."""

from __future__ import annotations

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.registry.scores import Scores


class Dossier(StrictModel):
    """The evidence about one system. What was not measured is None, and no figure stands in for it.

    Attributes:
        system: whose evidence it is.
        scores: its scores, and the digests of the data they rest on.
        model: content digest of the model that was measured; promotion takes no other.
    """

    system: str
    scores: Scores
    model: str | None = None
