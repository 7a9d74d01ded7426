import pytest

from evaluation.scoring_records import places, predict, sample, values


def test_moment_retrieval_by_hand() -> None:
    a, b, c = (sample("tvg", [(0.0, 10.0)], key) for key in "abc")
    # IoU 1.0, 0.4 and, unanswered, 0: hits at .1 .3 .5 .7 are (1 1 1 1), (1 1 0 0), (0 0 0 0).
    got = values((a, places(a, [(0, 10)])), (b, places(b, [(0, 4), (0, 10)])), (c, None))
    assert got["f1"] == pytest.approx(50.0)
    assert got["miou"] == pytest.approx(100 * 1.4 / 3, abs=1e-4)
    assert got["r1@0.3"] == pytest.approx(200 / 3, abs=1e-4)
    assert got["r1@0.5"] == pytest.approx(100 / 3, abs=1e-4)


def test_evidence_half_is_scored_by_its_twin() -> None:
    a = sample("tvg", [(0.0, 10.0)])
    got = values((a, places(a, answer=[(0, 4)], evidence=[(0, 10)])))
    assert (got["f1"], got["f1_evi"]) == (50, 100)
    assert (got["miou"], got["miou_evi"]) == (40, 100)
    assert (got["r1@0.5"], got["r1@0.5_evi"]) == (0, 100)


def test_absent_events_have_their_own_score() -> None:
    here, gone, gone_too = sample("tvg", [(0.0, 10.0)], "a"), sample("tvg", [], "b"), sample("tvg", [], "c")
    denial = "</evi>No such event happens in the video."
    got = values(
        (here, predict(here, denial)), (gone, predict(gone, denial)), (gone_too, places(gone_too, [(1, 2)]))
    )
    assert got["f1"] == 0
    assert got["absent_recall"] == got["absent_recall_evi"] == 50
    assert got["absent_false_alarm"] == got["absent_false_alarm_evi"] == 100


def test_silence_is_no_denial() -> None:
    gone = sample("tvg", [])
    assert values((gone, predict(gone, "</evi>The event happens.")))["absent_recall"] == 0
    assert values((gone, None))["absent_recall"] == 0
    contradiction = predict(gone, "<evi></evi>No such event happens.", [(1, 2)])
    got = values((gone, contradiction))
    assert (got["absent_recall"], got["absent_recall_evi"]) == (100, 0)
    # Evidence without a reference in the answer, and no words of denial either.
    assert values((gone, predict(gone, "<evi></evi>It happens.", [(1, 2)])))["absent_recall"] == 0


def test_metrics_without_samples_are_left_out() -> None:
    gone = sample("tvg", [])
    assert set(values((gone, None))) == {"absent_recall", "absent_recall_evi", "unpaired"}
    here = sample("tvg")
    assert "absent_recall" not in values((here, None))


def test_action_localisation_by_hand() -> None:
    a, b = sample("tal", [(0.0, 10.0), (20.0, 30.0)], "a"), sample("tal", [(0.0, 10.0)], "b")
    # a: IoU 1 and 0.4 -> at .1 .3: P 1 R 1; at .5 .7: P .5 R .5.
    # b: three predictions, one right: P 1/3, R 1 -> F1 .5 at every threshold.
    got = values(
        (a, places(a, [(0, 10), (20, 24)])),
        (b, places(b, [(0, 10), (12, 14), (15, 16)])),
    )
    assert got["f1@0.3"] == pytest.approx(75)
    assert got["f1@0.7"] == pytest.approx(50)
    assert got["f1"] == pytest.approx(62.5)


def test_an_unparsed_answer_asserts_nothing_in_either_half() -> None:
    a = sample("tal", [(0.0, 10.0)])
    got = values((a, predict(a, "<evi></evi>In <evi></evi>.", [(0, 10), (0, 10)])))
    assert got["f1"] == got["f1_evi"] == 0


def test_summary_is_scored_in_exact_seconds() -> None:
    a = sample("evs", [(0.0, 2.5), (5.0, 7.5)])
    assert values((a, places(a, [(0, 5)])))["f1"] == pytest.approx(50)
    assert values((a, places(a, [(0.25, 2.5), (1.0, 2.0)])))["f1"] == pytest.approx(
        100 * 4.5 / 7.25, abs=1e-4
    )
    late = sample("evs", [(1200.0, 1300.0)])
    assert values((late, places(late, [(1200, 1300)])))["f1"] == 100


def test_highlight_needs_the_midpoint_of_the_first_interval() -> None:
    a = sample("vhd", [(4.0, 6.0), (9.0, 10.0)])
    assert values((a, places(a, [(0, 10)])))["f1"] == 100
    assert values((a, places(a, [(0, 4), (4, 6)])))["f1"] == 0


def test_similar_event_takes_whichever_truth_fits() -> None:
    a = sample("tem", [(0.0, 10.0), (20.0, 30.0)])
    got = values((a, places(a, [(20, 24)])))
    assert (got["rec"], got["r1@0.3"], got["r1@0.5"], got["miou"]) == (50, 100, 0, 40)


def test_references_without_evidence_are_counted() -> None:
    a, b = sample("tal", [(0.0, 10.0)], "a"), sample("tal", [(0.0, 10.0)], "b")
    orphan = predict(a, "<evi></evi>In <evi>, and <evi>.", [(0, 10), (0, 10), (1, 2)])
    assert values((a, orphan), (b, places(b, [(0, 10)])))["unpaired"] == 50
