"""YouCook2 (Zhou et al., AAAI 2018), dense captioning in TimeChat's files: F1, CIDEr, METEOR, SODA_c."""

from d2vlm_pipeline.evaluation.benchmarks.records import Benchmark
from d2vlm_pipeline.evaluation.benchmarks.youcook2.files import Cooking, read
from d2vlm_pipeline.evaluation.benchmarks.youcook2.rules import PROTOCOLS, TRAPS, DenseRules
from d2vlm_pipeline.evaluation.benchmarks.youcook2.scoring import score

BENCHMARK: Benchmark[Cooking, DenseRules] = Benchmark(
    name="youcook2",
    summary="dense captioning of cooking videos: F1_Score CIDER METEOR SODA_c_2",
    read=read,
    score=score,
    protocols=PROTOCOLS,
    traps=TRAPS,
)
