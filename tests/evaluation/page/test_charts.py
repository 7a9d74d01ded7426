import xml.etree.ElementTree as ET

import numpy as np
import pytest

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.evaluation.page.blocks import Chart, Line, Point
from d2vlm_pipeline.evaluation.page.confidence import Claims, claims, first_claims, reliability, risk_coverage
from d2vlm_pipeline.evaluation.page.curves import IOU_GRID, length_chart, slice_edges, threshold_chart
from d2vlm_pipeline.evaluation.page.svg import chart_svg, element, ticks
from evaluation.scoring_records import pairs, places, predict, sample

CONFIG = EvaluationConfig(resamples=10)


def test_text_in_a_chart_is_escaped_and_told_in_words() -> None:
    points = (Point(0.1, 80.0, 70.0, 90.0, "n 4"), Point(0.5, 40.0))
    chart = Chart("<b>&", "x", "y", (Line("a<b", 0, points),), (0.1, 0.5))
    root = ET.fromstring(chart_svg(chart))
    texts = [node.text for node in root.iter()]
    assert "<b>&" in texts and "a<b: 80.0 (70.0 to 90.0), n 4" in texts
    assert "y against x. a<b: 80.0 at 0.1, 40.0 at 0.5" in texts
    assert element("text", "<i>", title='"&') == '<text title="&#34;&amp;">&lt;i&gt;</text>'


def test_points_stand_where_they_belong() -> None:
    chart = Chart("t", "x", "y", (Line("a", 0, (Point(0.0, 0.0), Point(10.0, 100.0))),), (0.0, 10.0))
    circles = [n.attrib for n in ET.fromstring(chart_svg(chart)).iter() if n.tag == "circle"]
    assert float(circles[0]["cx"]) < float(circles[1]["cx"])
    assert float(circles[0]["cy"]) > float(circles[1]["cy"])
    assert [(c["cx"], c["cy"]) for c in circles] == [("40", "196"), ("308", "10")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (40, 100, [40, 50, 60, 70, 80, 90, 100]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_threshold_curve_falls_where_the_iou_ends() -> None:
    a, b = sample("tvg", key="a"), sample("tvg", key="b")
    held = pairs((a, places(a, [(2, 6)])), (b, places(b, [(4, 6)])))
    chart = threshold_chart("tvg", {"fpo": held}, {"fpo": 0}, CONFIG)
    assert chart is not None and chart.y_label == "r1@IoU (%)"
    assert [(p.x, p.y) for p in chart.lines[0].points] == [(t, 100.0 if t <= 0.5 else 50.0) for t in IOU_GRID]
    assert threshold_chart("mcq", {"fpo": held}, {"fpo": 0}, CONFIG) is None


def test_slices_show_what_depends_on_length() -> None:
    """Short events are missed, long ones found."""
    asked = [sample("tvg", [(0, 2.0 + k / 2)], key=f"k{k:02}") for k in range(80)]
    held = pairs(
        *((s, places(s, [(0, s.events[0].end_s) if k >= 40 else (30, 31)])) for k, s in enumerate(asked))
    )
    chart = length_chart("tvg", {"fpo": held}, {"fpo": 0}, CONFIG)
    assert chart is not None and len(chart.x_names) == 4
    assert [p.y for p in chart.lines[0].points] == [0, 0, 100, 100]
    assert [p.note for p in chart.lines[0].points] == ["n 20"] * 4
    assert chart.x_names == ("2–11.9", "11.9–21.8", "21.8–31.6", "31.6–41.5")
    alike = pairs(*((s, None) for s in (sample("tvg", key=str(k)) for k in range(40))))
    assert length_chart("tvg", {"fpo": alike}, {"fpo": 0}, CONFIG) is None


def test_equal_values_share_a_slice() -> None:
    assert slice_edges([1, 1, 1, 1, 1, 1, 2, 3], 4) == [1.0, 1.25, 3.0]
    assert slice_edges([5, 5], 4) == [5.0]


def known(confidence: list[float], hit: list[float]) -> Claims:
    return Claims(tuple(f"c{k}" for k in range(len(hit))), np.array(confidence), np.array(hit))


def test_reliability_of_planted_confidence() -> None:
    """Half of what is said with 0.5 is right, all that is said with 1.0: no error; upside down: all error."""
    sure = known([0.5] * 30 + [1.0] * 30, [1.0, 0.0] * 15 + [1.0] * 30)
    points, error = reliability(sure, 60, CONFIG)
    assert len(points) == 15 and error == pytest.approx(0, abs=7) and points[-1].y == 100
    wrong = known([1.0] * 30, [0.0] * 30)
    assert reliability(wrong, 30, CONFIG)[1] == pytest.approx(100)


def test_risk_falls_where_confidence_knows() -> None:
    found = known([0.9] * 10 + [0.1] * 10, [1.0] * 10 + [0.0] * 10)
    points, area = risk_coverage(found, 40, CONFIG)
    assert (points[-1].x, points[-1].y) == (50.0, 50.0) and (points[9].x, points[9].y) == (25.0, 0.0)
    assert 0 < area < 50


def test_claims_are_intervals_of_answers_that_could_be_read() -> None:
    a, b, absent = sample("tal", key="a"), sample("tvg", key="b"), sample("tvg", [], key="c")
    held = pairs(
        (a, places(a, [(2, 6), (8, 9)])), (b, predict(b, "what?")), (absent, places(absent, [(1, 2)]))
    )
    assert claims(held).hit_R.tolist() == [1, 0, 0]
    assert first_claims(held).clips == ("a.mp4", "c.mp4")
