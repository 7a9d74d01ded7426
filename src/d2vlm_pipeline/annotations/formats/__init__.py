"""Readers of annotation formats, one module each, by the name that a parameter gives."""

from d2vlm_pipeline.annotations.config import Format
from d2vlm_pipeline.annotations.draft import Reader
from d2vlm_pipeline.annotations.formats import (
    activitynet,
    caption_coco,
    charades_sta,
    et_instruct,
    etbench,
    fpo,
    own,
    qvhighlights,
    youcook2,
)

READERS: dict[Format, Reader] = {
    "samples": own.read,
    "et_instruct": et_instruct.read,
    "etbench": etbench.read,
    "charades_sta": charades_sta.read,
    "qvhighlights": qvhighlights.read,
    "activitynet": activitynet.read,
    "youcook2": youcook2.read,
    "caption_coco": caption_coco.read,
    "fpo": fpo.read,
}

__all__ = ["READERS"]
