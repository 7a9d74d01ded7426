"""Ground floor: errors, strict models, canonical JSON and digests, atomic writes, progress, seeds."""

from d2vlm_pipeline.artifacts.atomic import (
    atomic_file,
    marker_path,
    new_temporary,
    read_marker,
    sweep_leftovers,
    write_bytes_atomic,
    write_text_atomic,
)
from d2vlm_pipeline.artifacts.collector import collector_paused
from d2vlm_pipeline.artifacts.config import StrictModel
from d2vlm_pipeline.artifacts.digests import canonical_json, digest_bytes, digest_file, digest_json
from d2vlm_pipeline.artifacts.directory import (
    MANIFEST_NAME,
    Manifest,
    atomic_directory,
    files_below,
    is_complete,
    read_manifest,
    verify,
)
from d2vlm_pipeline.artifacts.disk import DiskError, disk_reason, disk_told, is_full, require_room
from d2vlm_pipeline.artifacts.errors import Interrupted, UserError, validation_reason
from d2vlm_pipeline.artifacts.journal import Journal, Resumable, open_journal
from d2vlm_pipeline.artifacts.locks import locked
from d2vlm_pipeline.artifacts.progress import track
from d2vlm_pipeline.artifacts.seeds import derive_seed, seed_process, worker_names
from d2vlm_pipeline.artifacts.torch_seeds import seed_with_torch

__all__ = [
    "MANIFEST_NAME",
    "DiskError",
    "Interrupted",
    "Journal",
    "Manifest",
    "Resumable",
    "StrictModel",
    "UserError",
    "atomic_directory",
    "atomic_file",
    "canonical_json",
    "collector_paused",
    "derive_seed",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "disk_reason",
    "disk_told",
    "files_below",
    "is_complete",
    "is_full",
    "locked",
    "marker_path",
    "new_temporary",
    "open_journal",
    "read_manifest",
    "read_marker",
    "require_room",
    "seed_process",
    "seed_with_torch",
    "sweep_leftovers",
    "track",
    "validation_reason",
    "verify",
    "worker_names",
    "write_bytes_atomic",
    "write_text_atomic",
]
