from d2vlm_pipeline.evaluation import score_system, scores_table
from d2vlm_pipeline.evaluation.table import SYSTEM_ORDER, ordered_systems
from evaluation.scoring_records import CONFIG, demo_world, one_hot, predict, truth


def test_table_sets_systems_side_by_side() -> None:
    samples, _ = demo_world(4)
    right = score_system(samples, [truth(s) for s in samples], CONFIG, embed=one_hot)
    wrong = score_system(samples, [predict(s, "nonsense") for s in samples], CONFIG, embed=one_hot)
    tiled = score_system(samples, [], CONFIG, embed=one_hot, tasks=("tal",))
    text = scores_table({"fpo": right, "sft": wrong, "prior": wrong, "tiling": tiled}, "test-iid")
    lines = text.splitlines()
    heading = next(line for line in lines if "metric" in line)
    assert heading.split() == ["task", "metric", "prior", "tiling", "sft", "fpo", "n", "parsed"]
    tvg = next(line.split() for line in lines if line.split()[:2] == ["tvg", "f1"])
    assert tvg == ["tvg", "f1", "0.0", "–", "0.0", "(0–0)", "100.0", "(100–100)", "4", "4/0"]
    tal = next(line.split() for line in lines if line.split()[:2] == ["tal", "f1"])
    assert tal[2:4] == ["0.0", "0.0"]
    assert "\x1b" not in text


def test_eight_systems_fit_a_terminal_uncut() -> None:
    samples, _ = demo_world(4)
    right = score_system(samples, [truth(s) for s in samples], CONFIG, embed=one_hot)
    text = scores_table({name: right for name in SYSTEM_ORDER}, "test-iid")
    assert max(map(len, text.splitlines())) <= 120
    assert "…" not in text and "cap_sim_shuffled" in text and "100.0 (100–100)" in text


def test_table_of_another_split_is_empty() -> None:
    samples, _ = demo_world(2)
    scores = {"sft": score_system(samples, [], CONFIG, embed=one_hot)}
    assert "tvg" not in scores_table(scores, "val")


def test_systems_stand_in_the_order_of_the_contracts() -> None:
    assert ordered_systems(["zzz", "fpo", "prior", "abc", "chance"]) == [
        "chance",
        "prior",
        "fpo",
        "abc",
        "zzz",
    ]
