"""Caption metrics of the COCO tools: tokens, CIDEr-D, BLEU, ROUGE-L, METEOR; and SODA over whole videos."""

from d2vlm_pipeline.evaluation.captions.consensus import cider
from d2vlm_pipeline.evaluation.captions.java import meteor_unavailable
from d2vlm_pipeline.evaluation.captions.meteor import Meteor, shared_meteor
from d2vlm_pipeline.evaluation.captions.precision import bleu
from d2vlm_pipeline.evaluation.captions.ptb import ptb_tokenize
from d2vlm_pipeline.evaluation.captions.subsequence import rouge_l

__all__ = ["Meteor", "bleu", "cider", "meteor_unavailable", "ptb_tokenize", "rouge_l", "shared_meteor"]
