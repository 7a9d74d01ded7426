"""The champion, which promotion reads and moves: the one state of a run that lies in no dataset."""

from __future__ import annotations

from dataclasses import dataclass

from d2vlm_pipeline.tracking import TrackingConfig


@dataclass(frozen=True)
class Champion:
    """Who has the alias."""

    tracking: TrackingConfig
    alias: str

    def seen(self) -> str | None:
        """Version that has the alias now, and its content; None where there is none. Makes no store."""
        if self.tracking.database is not None and not self.tracking.database.is_file():
            return None
        from d2vlm_pipeline.registry.versions import DIGEST_TAG, version_at
        from d2vlm_pipeline.tracking import tracking_client

        version = version_at(tracking_client(self.tracking), self.tracking, self.alias)
        if version is None:
            return None
        return f"version {version.version} ({version.tags.get(DIGEST_TAG, 'not ours')[:12]})"
