"""Scores, policies and metrics.json records to decide on."""

from d2vlm_pipeline.registry import Dossier, Policy, Scores, policy_of, scores_of

DATA = {"world": "w1", "samples": "s1"}


def score(value: float | None, unparsed: int = 0, n: int = 100) -> dict:
    return {"value": value, "low": value, "high": value, "n": n, "unparsed": unparsed}


def metrics(
    tvg: float | None = 60.0,
    dvc: float = 40.0,
    unparsed: int = 0,
    data: dict | None = None,
    system: str = "fpo",
) -> dict:
    tasks = {
        "tvg": {"f1": score(tvg), "miou": score(50.0)},
        "dvc": {"cap_f1": score(dvc, unparsed)},
    }
    return {
        "schema": 1,
        "data": DATA if data is None else data,
        "scores": {system: {"test-iid": tasks}, "prior": {"test-iid": {"tvg": {"f1": score(20.0)}}}},
    }


def scores(**changes) -> Scores:
    return scores_of(metrics(**changes), changes.get("system", "fpo"))


def dossier(**changes) -> Dossier:
    found = scores(**changes)
    return Dossier(system=found.system, scores=found)


FLOOR = {"gate": "floor", "split": "test-iid", "task": "tvg", "metric": "f1", "limit": 30.0}
UNPARSED = {"gate": "unparsed_share", "split": "test-iid", "task": "*", "limit": 5.0}
REGRESSION = {"gate": "max_regression", "split": "test-iid", "task": "dvc", "metric": "cap_f1", "limit": 3.0}


def policy(*gates: dict, **changes) -> Policy:
    record = {
        "headline": {"split": "test-iid", "task": "tvg", "metric": "f1"},
        "gates": list(gates or (FLOOR, UNPARSED, REGRESSION)),
        **changes,
    }
    return policy_of(record, "promotion.yml")
