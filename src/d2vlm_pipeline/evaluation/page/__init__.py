"""The report as one HTML page: what it shows as data, and its drawing."""

from d2vlm_pipeline.evaluation.page.blocks import Page
from d2vlm_pipeline.evaluation.page.render import render_page
from d2vlm_pipeline.evaluation.page.run_page import RunMaterial, judge_answers, run_page

__all__ = ["Page", "RunMaterial", "judge_answers", "render_page", "run_page"]
