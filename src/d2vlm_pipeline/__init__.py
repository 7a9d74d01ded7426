"""Temporally grounded video-language models: from raw footage to a promoted, served model."""

__version__ = "0.1.0"
