"""A page as one HTML text that asks nobody for anything: style, script, charts and pictures stand inside it.

A Content-Security-Policy forbids every request and every script but ours, by its digest; all text is escaped.
"""

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from d2vlm_pipeline.evaluation.page.blocks import Page
from d2vlm_pipeline.evaluation.page.svg import chart_svg, forest_svg, mark, point_in_words, ticks

_TEMPLATES = ("page.html.j2", "blocks.html.j2")


def render_page(page: Page) -> str:
    """The page as HTML; equal pages give equal text."""
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            style=Markup(style),
            script=Markup(script),
            policy=content_policy(script),
        )
    )


def content_policy(script: str) -> str:
    """Content-Security-Policy of a page with this one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    loader = DictLoader({name: _asset(name) for name in _TEMPLATES})
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "chart_svg": chart_svg,
        "forest_svg": forest_svg,
        "mark": mark,
        "point_in_words": point_in_words,
        "ticks": ticks,
    }
    return environment


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
