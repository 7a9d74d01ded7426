"""What the predicted captions say, against those of the events that they met."""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.benchmarks.youcook2.files import Video
from d2vlm_pipeline.evaluation.benchmarks.youcook2.pairing import Edges, Flags
from d2vlm_pipeline.evaluation.benchmarks.youcook2.rules import DenseRules
from d2vlm_pipeline.evaluation.captions import cider, meteor_unavailable, ptb_tokenize, shared_meteor
from d2vlm_pipeline.evaluation.captions.ngrams import Ints
from d2vlm_pipeline.evaluation.captions.soda import soda_c
from d2vlm_pipeline.evaluation.captions.stand_ins import random_letters
from d2vlm_pipeline.evaluation.overlap import Floats


class Wording:
    """Captions of all videos, and which predicted one is compared with which true one at each threshold.

    A cell is one video at one threshold: threshold · V + video.

    Args:
        videos: with captions as they stand in the files.
        edges: predictions beside events.
        told: pairs [E] whose captions are compared, by threshold.
    """

    def __init__(self, videos: Sequence[Video], edges: Edges, told: Sequence[Flags]) -> None:
        self._edges = edges
        self._levels = len(told)
        self._said = ptb_tokenize([caption for video in videos for caption in video.told])
        self._true = ptb_tokenize([caption for video in videos for caption in video.captions])
        self._starts = [np.array([span[0] for span in video.said]) for video in videos]
        told_TE = np.array(told)
        level_M, self._edge_M = np.nonzero(told_TE)
        self._cell_M = self._cells_of(level_M, edges.pred_E[self._edge_M])
        alone_PT = np.ones((len(self._said), self._levels), dtype=bool)
        alone_PT[edges.pred_E[self._edge_M], level_M] = False
        self._alone_A, level_A = np.nonzero(alone_PT)
        self._cell_A = self._cells_of(level_A, self._alone_A)

    def cider(self, rules: DenseRules) -> dict[str, Floats]:
        """CIDEr-D of each video [V]; beside one by the words of all videos also that by its own."""
        references = [[self._true[truth]] for truth in self._edges.truth_E[self._edge_M]]
        candidates = [self._said[pred] for pred in self._edges.pred_E[self._edge_M]]
        if rules.own_documents:
            # To CIDEr a string of letters that no caption holds is a document without words.
            alone = [""] * len(self._alone_A)
            cells = np.concatenate([self._cell_M, self._cell_A])
            scores = cider([*references, *([text] for text in alone)], [*candidates, *alone], cells.tolist())
            return {"CIDER": self._means(cells, scores)}
        documents = [[caption] for caption in self._true]
        by_corpus_M = cider(references, candidates, documents=documents)
        by_video_M = cider(
            references,
            candidates,
            self._edges.video_P[self._edges.pred_E[self._edge_M]].tolist(),
            documents,
            self._edges.video_G.tolist(),
        )
        return {"CIDER": self._strict_means(by_corpus_M), "CIDER_per_video": self._strict_means(by_video_M)}

    def by_meteor(self, rules: DenseRules, soda: str) -> tuple[dict[str, Floats], dict[str, str]]:
        """METEOR and SODA_c of each video [V], or why there are none here.

        Raises:
            UserError: Java failed.
        """
        if reason := meteor_unavailable():
            return {}, {"METEOR": reason, soda: reason}
        said = [self._said[pred] for pred in self._edges.pred_E]
        true = [self._true[truth] for truth in self._edges.truth_E]
        score_E, _ = shared_meteor().score([[text] for text in true], said)
        if rules.pooled_meteor:
            references, candidates, cells = self._with_random_strings()
            _, pooled_C = shared_meteor().score(references, candidates, cells.tolist())
            # Cells beyond the last that has a pair are of videos without prediction.
            meteor_V = self._over_thresholds(np.pad(pooled_C, (0, self._cells - len(pooled_C))))
        else:
            meteor_V = self._strict_means(score_E[self._edge_M])
        if rules.swapped_roles:
            score_E, _ = shared_meteor().score([[text] for text in said], true)
        return {"METEOR": meteor_V, soda: self._soda(score_E, rules)}, {}

    def _soda(self, score_E: Floats, rules: DenseRules) -> Floats:
        ious, scores = [], []
        for start_P, (place_PG, iou_PG) in zip(self._starts, self._edges.matrices(), strict=True):
            order_P = np.arange(len(start_P)) if rules.as_listed else np.argsort(start_P, kind="stable")
            ious.append(iou_PG[order_P])
            score_PG = score_E[place_PG][order_P]
            scores.append(score_PG[_sorted_as_text(len(score_PG))] if rules.sorted_as_text else score_PG)
        f1_V: Floats = soda_c(ious, scores)[:, 2]
        return f1_V

    def _with_random_strings(self) -> tuple[list[list[str]], list[str], Ints]:
        """References, candidates and cells of all predictions, a random string for what a lonely one is not.

        Drawn as in the script: prediction by prediction, threshold by threshold.
        """
        strings = random_letters(len(self._alone_A))
        references = [self._true[truth] for truth in self._edges.truth_E[self._edge_M]] + strings
        preds = np.concatenate([self._edges.pred_E[self._edge_M], self._alone_A])
        cells = np.concatenate([self._cell_M, self._cell_A])
        return [[text] for text in references], [self._said[pred] for pred in preds], cells

    @property
    def _cells(self) -> int:
        return self._edges.videos * self._levels

    def _cells_of(self, level_N: Ints, pred_N: Ints) -> Ints:
        return level_N * self._edges.videos + self._edges.video_P[pred_N]

    def _strict_means(self, score_M: Floats) -> Floats:
        """Means [V] over all predictions, those without a pair scoring 0."""
        cells = np.concatenate([self._cell_M, self._cell_A])
        return self._means(cells, np.concatenate([score_M, np.zeros(len(self._cell_A))]))

    def _means(self, cell_N: Ints, score_N: Floats) -> Floats:
        total_C = np.bincount(cell_N, score_N, minlength=self._cells)
        return self._over_thresholds(total_C / np.maximum(np.bincount(cell_N, minlength=self._cells), 1))

    def _over_thresholds(self, score_C: Floats) -> Floats:
        mean_V: Floats = score_C.reshape(self._levels, -1).mean(axis=0)
        return mean_V


def _sorted_as_text(count: int) -> list[int]:
    """The numbers from 0 in the order of their digits: 0 1 10 11 2 …"""
    return sorted(range(count), key=str)
