"""Typed parameters that several pipelines share."""

from __future__ import annotations

from pydantic import PositiveInt

from d2vlm_pipeline.artifacts import StrictModel


class ComputeConfig(StrictModel):
    """How much of the machine to use; results do not depend on ``workers``.

    Attributes:
        workers: processes for rendering, decoding and encoding.
        threads: torch threads in training and answering.
    """

    workers: PositiveInt = 2
    threads: PositiveInt = 2
