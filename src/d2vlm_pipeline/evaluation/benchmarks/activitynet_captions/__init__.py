"""ActivityNet Captions (Krishna et al., ICCV 2017): dense captioning, and grounding of its sentences.

Dense captions are scored by densevid_eval (as in VidChapters' port to Python 3) and by SODA.
"""

from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.files import read
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.records import (
    PROTOCOLS,
    TRAPS,
    Material,
    Rules,
)
from d2vlm_pipeline.evaluation.benchmarks.activitynet_captions.scoring import score
from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark

BENCHMARK: Benchmark[Material, Rules] = Benchmark(
    name="activitynet-captions",
    summary="dense captioning: SODA c, a and d, METEOR, CIDEr, ROUGE-L, BLEU, F1; or grounding: R@1 and mIoU",
    read=read,
    score=score,
    protocols=PROTOCOLS,
    traps=TRAPS,
    references=True,
)
