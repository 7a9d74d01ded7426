import numpy as np
import pytest

from d2vlm_pipeline.evaluation.captioning import caption_cosines, matched_similarity, shuffle_across_clips
from evaluation.scoring_records import CAPTIONS, captions, context, pairs, predict, sample, values

RED, BLUE, GREEN = CAPTIONS[0], CAPTIONS[6], CAPTIONS[12]


def test_dense_caption_f1_is_the_f1_of_means_over_all_videos() -> None:
    a = sample("dvc", [(0.0, 10.0, RED), (20.0, 30.0, BLUE)], "a")
    b = sample("dvc", [(0.0, 10.0, RED)], "b")
    c = sample("dvc", [(0.0, 10.0, RED)], "c")
    # At every threshold: precision 1/2, 1, 0 and recall 1/2, 1, 0 -> means .5 and .5.
    rows = [
        (a, captions(a, [(0, 10, RED), (40, 50, RED)])),
        (b, captions(b, [(0, 10, RED)])),
        (c, predict(c, "</evi>a red ball enters.")),
    ]
    assert values(*rows)["cap_f1"] == pytest.approx(50)
    # Without c the means are .75 and .75: the failed video must not leave the denominator.
    assert values(*rows[:2])["cap_f1"] == pytest.approx(75)


def test_f1_of_means_is_not_the_mean_of_f1() -> None:
    a = sample("dvc", [(0.0, 10.0, RED)], "a")
    b = sample("dvc", [(0.0, 10.0, RED), (20.0, 30.0, RED)], "b")
    got = values(
        (a, captions(a, [(0, 10, RED), (11, 12, RED)])),  # P 1/2, R 1
        (b, captions(b, [(0, 10, RED)])),  # P 1, R 1/2
    )
    assert got["cap_f1"] == pytest.approx(75)  # the mean of the two F1 would be 66.7


def test_similarity_counts_what_is_left_over_as_nothing() -> None:
    a = sample("dvc", [(0.0, 10.0, RED), (20.0, 30.0, BLUE)])
    assert values((a, captions(a, [(0, 10, RED), (20, 30, BLUE)])))["cap_sim"] == 100
    assert values((a, captions(a, [(0, 10, RED)])))["cap_sim"] == 50  # one truth left over
    assert values((a, captions(a, [(0, 10, RED), (40, 50, BLUE)])))["cap_sim"] == pytest.approx(
        100 / 3, abs=1e-4
    )
    assert values((a, captions(a, [(0, 10, RED), (20, 30, RED)])))["cap_sim"] == 50  # one caption wrong
    assert values((a, captions(a, [(0, 4, RED), (20, 30, BLUE)])))["cap_sim"] == pytest.approx(
        (100 + 100 + 100 / 3 + 100 / 3) / 4, abs=1e-4
    )


def test_repeating_an_interval_does_not_pay() -> None:
    a = sample("dvc", [(0.0, 10.0, RED)])
    assert values((a, captions(a, [(0, 10, RED)] * 4)))["cap_sim"] == 25


def test_evidence_intervals_carry_the_captions_of_their_references() -> None:
    a = sample("dvc", [(0.0, 10.0, RED), (20.0, 30.0, BLUE)])
    text = f"<evi><evi></evi><evi>, {RED}. <evi>, {BLUE}."
    got = values((a, predict(a, text, [(0, 10), (20, 30), (40, 50), (50, 60)])))
    assert (got["cap_sim"], got["cap_sim_evi"]) == (0, 100)
    assert (got["cap_f1"], got["cap_f1_evi"]) == (0, 100)


def test_punctuation_between_captions_is_not_part_of_them() -> None:
    a = sample("dvc", [(0.0, 10.0, RED)])
    assert values((a, predict(a, f"<evi></evi><evi>: {RED} ;", [(0, 10), (0, 10)])))["cap_sim"] == 100


def test_region_caption_is_compared_as_a_whole() -> None:
    a, b = sample("rvc", [(0.0, 1.0, RED)], "a"), sample("rvc", [(0.0, 1.0, BLUE)], "b")
    # The region answer starts with a capital letter, as the truth does.
    right = predict(a, f"</evi>{RED.capitalize()}.")
    got = values((a, right), (b, None))
    assert got["cap_sim"] == 50
    assert got["cap_sim_shuffled"] == 0
    assert "cap_f1" not in got


def test_shuffled_captions_come_from_other_clips() -> None:
    rows = []
    for clip in range(6):
        for part in range(2):
            s = sample("dvc", [(0.0, 10.0, CAPTIONS[clip])], f"{clip}-{part}", video=f"{clip}.mp4")
            rows.append((s, captions(s, [(0, 10, CAPTIONS[clip])] * (clip + 1))))
    matched = pairs(*rows)
    said = [pair.captions("answer") for pair in matched]
    shuffled = shuffle_across_clips(matched, said, seed=1)
    for pair, before, after in zip(matched, said, shuffled, strict=True):
        assert len(before) == len(after)
        assert CAPTIONS[int(pair.sample.video[0])] not in after
    assert len({text for after in shuffled for text in after}) >= 5
    assert shuffle_across_clips(matched, said, seed=1) == shuffled
    assert shuffle_across_clips(matched, said, seed=2) != shuffled
    backwards = shuffle_across_clips(matched[::-1], said[::-1], seed=1)
    assert backwards[::-1] == shuffled


def test_one_clip_has_nothing_to_be_shuffled_with() -> None:
    a = sample("dvc", [(0.0, 10.0, RED)])
    got = values((a, captions(a, [(0, 10, RED)])))
    assert (got["cap_sim"], got["cap_sim_shuffled"]) == (100, 0)


def test_a_cosine_below_zero_counts_as_zero_and_so_does_silence() -> None:
    def embed(texts):
        return np.array([{"up": [1.0, 0.0], "down": [-1.0, 0.0], "slant": [0.6, 0.8]}[t] for t in texts])

    (table,) = caption_cosines([["down", "slant", ""]], [["up"]], embed)
    assert table.ravel().tolist() == pytest.approx([0, 0.6, 0])


def test_matched_similarity_without_anything_is_zero() -> None:
    assert matched_similarity(np.zeros((0, 0)), np.zeros((0, 0)), (0.5,)) == 0


def test_generic_wording_is_unmasked_by_the_control() -> None:
    rows = [
        (s, captions(s, [(0, 10, GREEN)]))
        for s in (sample("dvc", [(0.0, 10.0, CAPTIONS[k])], f"{k}") for k in range(8))
    ]
    got = values(*rows)
    assert got["cap_sim"] == got["cap_sim_shuffled"]


def test_without_encoder_similarity_is_left_out() -> None:
    from d2vlm_pipeline.evaluation import TASK_METRICS
    from d2vlm_pipeline.evaluation.contributions import MetricContext

    a = sample("dvc", [(0.0, 10.0, RED)])
    matched = pairs((a, captions(a, [(0, 10, RED)])))
    without = TASK_METRICS["dvc"](matched, MetricContext(thresholds=(0.5,)))
    assert not any(name.startswith("cap_sim") for name in without)
    assert any(name.startswith("cap_sim") for name in TASK_METRICS["dvc"](matched, context()))
