import re
from html.parser import HTMLParser

import pytest

from d2vlm_pipeline.evaluation.page import render_page
from d2vlm_pipeline.evaluation.page.render import content_policy
from d2vlm_pipeline.evaluation.studies import Curve, Figure, Studies, Study
from d2vlm_pipeline.evaluation.studies import Point as StudyPoint
from evaluation.page.pages import HOSTILE, material, page


class Reader(HTMLParser):
    """Elements, attributes and text of a page; every element must be closed."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(page())


def test_equal_runs_give_equal_pages(html: str) -> None:
    assert render_page(page()) == html


def test_every_section_is_there_and_linked(html: str) -> None:
    found = Reader(html)
    sections = [section["id"] for section in found.of("section")]
    assert sections == ["scores", "curves", "confidence", "studies", "gallery", "unread"]
    links = [str(link["href"]) for link in found.of("a")]
    assert links == ["#scores", *(f"#{name}" for name in sections)]
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_system_and_task_has_its_score_with_an_interval(html: str) -> None:
    of = material()
    table = html[html.index('<table class="scores">') : html.index("</table>")]
    for system in of.scores:
        for metrics in of.scores[system]["test-iid"].values():
            score = metrics.get("f1") or metrics.get("accuracy")
            if score:
                assert f"<b>{score['value']:.1f}</b>" in table
                assert f"{score['low']:.1f} – {score['high']:.1f}" in table


def test_the_page_names_no_other_place(html: str) -> None:
    assert not re.search(r"\b(?:https?|wss?|ftp|file):", html)
    for _, attributes in Reader(html).elements:
        for name in ("src", "href", "action", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:"))
    assert not re.findall(r"url\((?!\"data:image/webp;base64,)", html)


def test_the_policy_allows_one_script_and_no_request(html: str) -> None:
    found = Reader(html)
    (policy,) = [str(m["content"]) for m in found.of("meta") if m.get("http-equiv")]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1 and policy == content_policy(scripts[0])
    assert policy.startswith("default-src 'none'") and "unsafe-inline" not in policy.split("script-src")[1]


def test_hostile_text_stays_text() -> None:
    html = render_page(page(material(hostile=True)))
    found = Reader(html)
    assert len(found.of("script")) == 1 and found.of("img") == []
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert any(HOSTILE in text for text in found.text), "shown as it was written"


def test_what_was_unread_is_there_word_for_word(html: str) -> None:
    of = material()
    raw = next(p.raw for p in of.predictions["fpo"] if not p.parsed)
    unread = sum(not p.parsed for said in of.predictions.values() for p in said)
    texts = Reader(html).text
    assert raw in texts
    assert any(f"of {unread}, as they were emitted" in text for text in texts)


def test_missing_frames_and_studies_are_said_to_be_missing(html: str) -> None:
    text = "".join(Reader(html).text)
    assert "No frames of test-iid-000.mp4: the file is gone" in text
    assert "No studies of fpo were made with this run." in text


@pytest.mark.parametrize(("name", "section"), [("calibration", "confidence"), ("faithfulness", "studies")])
def test_studies_are_drawn(name: str, section: str) -> None:
    figure = Figure(title="ECE <raw>", value=9.5, low=8.0, high=11.0, n=40, unit="points")
    masked = Figure(title="change by evidence", value=12.0, n=40, unit="points", required=15.0)
    curve = Curve(
        title="raw",
        x="confidence (%)",
        y="in place (%)",
        panel="reliability",
        diagonal=True,
        points=(StudyPoint(x=50, y=40, n=3), StudyPoint(x=90, y=80, low=70, high=90, n=3)),
    )
    study = Study(
        title="Calibration",
        definition="What it is.",
        headline="ece",
        clips=7,
        figures={"ece": figure, "masked": masked},
        curves={"raw": curve},
        notes=("Few.",),
    )
    studies = Studies(
        system="fpo",
        model="m",
        splits=("test-iid",),
        confidence=0.95,
        resamples=10,
        studies={name: study},
    )
    html = render_page(page(material(studies=studies)))
    start = html.index(f'<section id="{section}"')
    text = "".join(Reader(html[start : html.index("</section>", start) + len("</section>")]).text)
    assert "ECE <raw>" in text and "9.50 points" in text and "8.00 – 11.00" in text
    assert "at least 15 points: not reached" in text
    assert "What it is. Over 7 clips." in text and "Reliability" in text


def test_the_page_is_small(html: str) -> None:
    assert len(html.encode()) < 8_000_000
