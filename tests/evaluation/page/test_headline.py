from d2vlm_pipeline.evaluation.page.headline import forests, lead, score_tables
from d2vlm_pipeline.evaluation.page.run_page import best_baseline
from d2vlm_pipeline.evaluation.scores import Score, Scores

MODELS = ("sft", "fpo")


def score(value: float, spread: float = 5.0, unparsed: int = 0) -> Score:
    return Score(value=value, low=value - spread, high=value + spread, n=9, unparsed=unparsed)


def scores(**values: tuple[float, float]) -> dict[str, Scores]:
    """Of each system its f1 on tvg and on tal."""
    return {
        name: {"test": {"tvg": {"f1": score(tvg)}, "tal": {"f1": score(tal)}}}
        for name, (tvg, tal) in values.items()
    }


def test_the_sentence_counts_tasks_ahead_and_clearly_ahead() -> None:
    found = scores(prior=(20, 30), chance=(10, 70), fpo=(28, 90), sft=(99, 99))
    assert lead(found, "fpo", list(found), MODELS).startswith("On 2 of 2 tasks fpo is ahead")
    assert "on 1 of them with intervals that do not touch" in lead(found, "fpo", list(found), MODELS)
    assert "without a baseline" in lead(scores(fpo=(1, 1)), "fpo", ["fpo"], MODELS)
    blind = scores(prior=(20, 30), blind=(50, 50))
    assert lead(blind, "blind", list(blind), MODELS).startswith("On 2 of 2 tasks blind is ahead")


def test_the_best_baseline_is_found_by_task() -> None:
    found = scores(prior=(20, 30), chance=(10, 70), fpo=(28, 90))
    assert [best_baseline(found, list(found), MODELS, task) for task in ("tvg", "tal", "mcq")] == [
        "prior",
        "chance",
        None,
    ]


def test_tables_hold_every_system_and_mark_the_best() -> None:
    found = scores(prior=(20, 30), fpo=(28, 20))
    found["tiling"] = {"test": {"tal": {"f1": score(50)}}}
    (table,) = score_tables(found, ["fpo", "tiling", "prior"], MODELS)
    assert table.systems == ("fpo", "tiling", "prior")
    assert [(row.task, row.metric, row.best, row.n) for row in table.rows] == [
        ("tvg", "f1", 0, 9),
        ("tal", "f1", 1, 9),
    ]
    assert table.rows[0].cells[1] is None
    (panels,) = forests(found, ["fpo", "tiling", "prior"], {"fpo": 0, "tiling": 1, "prior": 2})
    assert [[dot.name for dot in forest.dots] for forest in panels.forests] == [
        ["fpo", "prior"],
        ["fpo", "tiling", "prior"],
    ]


def test_a_control_has_no_best() -> None:
    found: dict[str, Scores] = {
        name: {"test": {"dvc": {"cap_sim_shuffled": score(value)}}} for name, value in (("a", 3), ("b", 4))
    }
    (table,) = score_tables(found, ["a", "b"], MODELS)
    assert table.rows[0].is_control and table.rows[0].best is None
