import pytest

from evaluation.scoring_records import predict, sample, values


def test_accuracy_counts_every_sample() -> None:
    samples = [sample("mcq", [], key, right=1) for key in "abcd"]
    said = ["</evi>(B) blue.", "</evi>(A) red.", "</evi>blue", None]
    rows = [(s, predict(s, raw) if raw else None) for s, raw in zip(samples, said, strict=True)]
    assert values(*rows)["accuracy"] == 25


def test_the_letter_is_final_even_beside_other_words() -> None:
    s = sample("rvq", [], right=1)
    assert values((s, predict(s, "</evi>(A) blue.")))["accuracy"] == 0
    assert values((s, predict(s, "</evi>(B) red.")))["accuracy"] == 100


def test_an_empty_answer_is_not_right() -> None:
    s = sample("mcq", [], right=0)
    assert values((s, predict(s, "</evi>")))["accuracy"] == 0


def grounded(key: str, letter: str, answer: tuple[float, float], evidence: tuple[float, float]):
    s = sample("gvq", [(0.0, 10.0)], key, right=1)
    raw = f"<evi></evi>({letter}) colour. The relevant event happens in <evi>."
    return s, predict(s, raw, [evidence, answer])


def test_grounded_choice_needs_both_for_recall() -> None:
    got = values(
        grounded("a", "B", (0, 4), (0, 10)),  # right, IoU .4, evidence 1
        grounded("b", "C", (0, 10), (0, 10)),  # wrong option, perfect interval
    )
    assert got["accuracy"] == 50
    assert got["rec"] == pytest.approx(25)
    assert got["rec_evi"] == pytest.approx(50)
    assert (got["rec@0.3"], got["rec@0.5"], got["rec@0.5_evi"]) == (50, 0, 50)
    assert got["miou"] == pytest.approx(70)


def test_grounded_choice_without_interval_is_unparsed_and_wrong() -> None:
    s = sample("gvq", [(0.0, 10.0)], right=1)
    assert values((s, predict(s, "</evi>(B) blue.")))["accuracy"] == 0
