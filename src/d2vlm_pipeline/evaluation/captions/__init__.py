"""Caption metrics of the COCO tools: tokens, CIDEr-D, BLEU, ROUGE-L, METEOR."""

from d2vlm_pipeline.evaluation.captions.consensus import cider
from d2vlm_pipeline.evaluation.captions.precision import bleu
from d2vlm_pipeline.evaluation.captions.ptb import ptb_tokenize
from d2vlm_pipeline.evaluation.captions.subsequence import rouge_l

__all__ = ["bleu", "cider", "ptb_tokenize", "rouge_l"]
