import subprocess
import sys

import numpy as np
import pytest

from d2vlm_pipeline.evaluation import SentenceEncoder, default_encoder


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return default_encoder()


def test_meaning_orders_the_cosines(encoder: SentenceEncoder) -> None:
    vectors = encoder(
        ["a red ball enters", "a ball that is red comes in", "a red ball leaves", "stock prices fell"]
    )
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    same, near, far = (vectors[1:] @ vectors[0]).tolist()
    assert far < 0.15 < 0.6 < min(same, near)


def test_known_cosine_of_the_public_model(encoder: SentenceEncoder) -> None:
    # Figures of the model card's checkpoint under mean pooling; another pooling or checkpoint is far off.
    vectors = encoder(["a red ball enters", "a blue star grows", "a red ball enters."])
    assert vectors[0] @ vectors[1] == pytest.approx(0.2197, abs=1e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(0.99, abs=0.01)


def test_neighbours_in_a_batch_do_not_change_a_vector(encoder: SentenceEncoder) -> None:
    alone = SentenceEncoder()(["a red ball enters"])
    beside = SentenceEncoder()(["a red ball enters", "a much longer sentence about many other things " * 3])
    assert np.allclose(alone[0], beside[0], atol=1e-5)


def test_each_text_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder()
    seen: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.ones((len(texts), 2))

    monkeypatch.setattr("d2vlm_pipeline.evaluation.similarity._encoded", encode)
    encoder(["b", "a", "b"])
    encoder(["a", "c"])
    assert seen == ["a", "b", "c"]


def test_scoring_without_captions_loads_no_heavy_library() -> None:
    code = (
        "import sys, d2vlm_pipeline.evaluation as e\n"
        "e.score_system([], [], e.EvaluationConfig())\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'scipy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
