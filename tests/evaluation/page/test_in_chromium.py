"""The page as a browser shows it: drawn, quiet, asking nobody, and its filters filter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from d2vlm_pipeline.evaluation.benchmarks.engine import score_files
from d2vlm_pipeline.evaluation.benchmarks.records import Files
from d2vlm_pipeline.evaluation.page import Page, render_page
from d2vlm_pipeline.evaluation.page.score_page import score_page
from evaluation.benchmarks.toy import TOY, written
from evaluation.page.chromium import Chromium, require_chromium
from evaluation.page.pages import HOSTILE, material, page

pytestmark = [pytest.mark.slow, pytest.mark.ci_sample]

VISIBLE = "[...document.querySelectorAll('.item')].filter(item => item.offsetParent !== null)"
GROUPS = f"{VISIBLE}.map(item => item.dataset.group)"
KINDS = f"{VISIBLE}.map(item => item.dataset.kinds.split('|'))"


@pytest.fixture(scope="module")
def shown() -> Page:
    return page(material(hostile=True))


@pytest.fixture(scope="module")
def file(shown: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(shown), encoding="utf-8")
    return path


@pytest.fixture
def browser(file: Path, tmp_path: Path) -> Iterator[Chromium]:
    with Chromium(require_chromium(), tmp_path) as opened:
        opened.open(file)
        yield opened


def test_a_page_of_scores_renders_quietly_too(tmp_path: Path) -> None:
    answers = [("a", "v1", 1.0), ("b", "v1", 0.0), ("c", "v2", 0.5)]
    said = written(tmp_path / "said.jsonl", answers, truth=[[1, 3]], duration=9.0)
    file = tmp_path / "score.html"
    file.write_text(render_page(score_page(score_files(TOY, Files(said), other=said))), encoding="utf-8")
    with Chromium(require_chromium(), tmp_path / "profile") as opened:
        opened.open(file)
        assert opened.run(f"{VISIBLE}.length") == 3
        opened.point(chip("kind", "right"))
        assert opened.run(KINDS) == [["right"]]
        assert opened.complaints == [] and opened.requests == [file.as_uri()]


def chip(dimension: str, value: str) -> str:
    return f"button[data-dimension={dimension}][data-value='{value}']"


def test_it_renders_quietly_and_asks_nobody(browser: Chromium, file: Path, shown: Page) -> None:
    charts = "[...document.querySelectorAll('figure svg[role=img]')].map(svg => svg.getBoundingClientRect())"
    heights = browser.run(f"{charts}.map(box => Math.min(box.width, box.height))")
    assert len(heights) > 20 and min(heights) > 60
    film = "getComputedStyle(document.querySelector('.film'))"
    assert browser.run(f"{film}.backgroundImage").startswith('url("data:image/webp')
    assert float(browser.run(f"{film}.height").removesuffix("px")) > 10
    (gallery,) = next(section for section in shown.sections if section.anchor == "gallery").blocks[:1]
    assert browser.run(f"{VISIBLE}.length") == len(gallery.items)
    assert browser.complaints == []
    assert browser.requests == [file.as_uri()]


def test_hostile_questions_are_shown_and_do_not_run(browser: Chromium) -> None:
    assert browser.run("typeof window.pwned") == "undefined"
    assert HOSTILE in browser.run("document.querySelector('.item h4').textContent")
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_filters_choose_by_task_and_by_kind_of_error(browser: Chromium) -> None:
    all_items = browser.run(f"{VISIBLE}.length")
    browser.point(chip("group", "tvg"))
    assert set(browser.run(GROUPS)) == {"tvg"}
    browser.point(chip("group", "mcq"))
    assert set(browser.run(GROUPS)) == {"tvg", "mcq"}
    browser.point(chip("kind", "unparsed"))
    assert set(browser.run(GROUPS)) <= {"tvg", "mcq"} and browser.run(GROUPS)
    assert all("unparsed" in kinds for kinds in browser.run(KINDS))
    assert browser.run("document.querySelector('[data-count]').textContent") == str(len(browser.run(KINDS)))
    browser.point("[data-clear]")
    assert browser.run(f"{VISIBLE}.length") == all_items
    assert browser.complaints == []


def test_filters_work_by_keyboard_and_say_when_nothing_is_left(browser: Chromium) -> None:
    browser.run(f'document.querySelector("{chip("group", "mcq")}").focus()')
    browser.press(" ")
    assert set(browser.run(GROUPS)) == {"mcq"}
    empty = "document.querySelector('[data-empty]').offsetParent !== null"
    assert not browser.run(empty)
    browser.point(chip("kind", "wrong place"))
    assert browser.run(f"{VISIBLE}.length") == 0 and browser.run(empty), "a choice has no place to be wrong"


def test_the_pointer_is_told_the_second_of_the_clip(browser: Chromium) -> None:
    browser.point(".item .film", click=False)
    seconds = float(browser.run("document.querySelector('.item .film').parentElement.dataset.seconds"))
    told = browser.run("document.querySelector('.cursor:not([hidden])').textContent")
    assert float(told.removesuffix(" s")) == pytest.approx(seconds / 2, rel=0.02, abs=0.1)


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out_of_the_window(browser: Chromium, width: int) -> None:
    browser.resize(width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_dark_readers_get_a_dark_page(browser: Chromium) -> None:
    colours = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        colours.append(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(251, 251, 249)", "rgb(20, 24, 29)"]


def test_the_policy_stops_scripts_and_requests_that_got_in(browser: Chromium, file: Path) -> None:
    """The policy alone, as if escaping had failed."""
    browser.run(
        """(() => {
        const script = document.createElement("script");
        script.textContent = "window.pwned = 1";
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/spy.png";
        document.body.append(script, image);
    })()"""
    )
    refused = browser.run("fetch('http://127.0.0.1:9/spy').then(() => false, () => true)")
    assert refused and browser.run("typeof window.pwned") == "undefined"
    assert sum("Content Security Policy" in complaint for complaint in browser.complaints) >= 3
