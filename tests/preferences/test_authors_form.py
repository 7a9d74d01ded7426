"""The authors' annotation: what their training code asks of it holds (method.md §5.2)."""

import json

import pytest

from d2vlm_pipeline.annotations import ImportConfig, VideoNames
from d2vlm_pipeline.annotations.fpo_pairs import read_pairs
from d2vlm_pipeline.preferences import (
    Count,
    DonorPool,
    PreferenceConfig,
    synthesize_pairs,
)
from d2vlm_pipeline.preferences.authors import (
    NOT_GROUNDED,
    NOT_REFERRED,
    authors_record,
    refused_by_authors,
)
from d2vlm_pipeline.timeline import parse_response
from preferences import samples as s
from preferences.authors_contract import problems_of_authors_record

SAMPLES = [*s.ALL, s.other_clip()]
DONORS = DonorPool.of(SAMPLES)


def pairs_of(sample, **config):
    given = PreferenceConfig(pairs_per_sample=8, **config)
    return list(synthesize_pairs([sample], {sample.video: s.DURATION_S}, given, DONORS))


def record(sample, **config):
    pairs = [pair for pair in pairs_of(sample, **config) if refused_by_authors(pair, sample) is None]
    return authors_record(sample, pairs, s.DURATION_S), pairs


GROUNDED = [s.TVG, s.RVC, s.listing(3), s.captions(3), s.captions(3, task="tvc"), s.choice("gvq", 1)]


@pytest.mark.parametrize("several", [1, 2])
@pytest.mark.parametrize("sample", GROUNDED, ids=lambda sample: sample.task)
def test_every_record_keeps_the_contract(sample, several):
    found, pairs = record(sample, factors_per_pair=Count(low=1, high=several))
    assert pairs
    said = found["conversations"]
    assert len(said) == 1 + len(pairs) and found["duration"] == s.DURATION_S
    for name, turns in said.items():
        assert [turn["from"] for turn in turns] == ["human", "gpt"]
        response = turns[1]["value"]
        assert not response.endswith("<|end|>")
        kind = name.split("_")[2] if name != "chosen" else ""
        assert name == "chosen" or len(name.split("_")) == 3
        assert kind not in ("f", "repeat") or sample.task in ("dvc", "slc", "tvc")
        assert (kind == "qwen") == (sample.task == "rvc" and name != "chosen")
        if sample.task == "rvc":
            assert "tgt" not in found and response.startswith("</evi>")
            continue
        assert response.startswith("<evi>")
        assert response.count("<evi>") == len(found["tgt"][name])
    assert problems_of_authors_record(found) == []


@pytest.mark.parametrize("sample", GROUNDED, ids=lambda sample: sample.task)
def test_nothing_of_a_pair_is_lost(sample):
    found, pairs = record(sample)
    sides = [sample.response(), *(pair.rejected for pair in pairs)]
    for side, (name, turns) in zip(sides, found["conversations"].items(), strict=True):
        times = found.get("tgt", {}).get(name, [])
        spans = zip(times[::2], times[1::2], strict=True)
        assert [(interval.start_s, interval.end_s) for interval in side.evidence] == list(spans)
        assert parse_response(turns[1]["value"], side.evidence) == side
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("sample", GROUNDED, ids=lambda sample: sample.task)
def test_our_reader_of_the_form_reads_the_same_pairs(sample, tmp_path):
    found, pairs = record(sample)
    path = tmp_path / "fpo.json"
    path.write_text(json.dumps([found]))
    config = ImportConfig(format="fpo", split="train")
    read = list(read_pairs(path, config, VideoNames([sample.video])))
    assert len(read) == len(pairs)
    for pair, (_, back) in zip(pairs, read, strict=True):
        assert (back.chosen, back.rejected) == (pair.chosen, pair.rejected)


def test_the_interval_of_a_region_stands_in_src():
    found, _ = record(s.RVC)
    assert found["src"] == {"chosen": [2.0, 5.0]}
    assert found["conversations"]["chosen"][0]["value"].count("<evi>") == 1


def test_what_the_form_cannot_hold_has_a_reason():
    mcq = s.choice("mcq")
    assert {refused_by_authors(pair, mcq) for pair in pairs_of(mcq)} == {NOT_GROUNDED}
    denied = [pair for pair in pairs_of(s.TVG) if pair.factors[0].operator == "wrong_text"]
    assert denied and {refused_by_authors(pair, s.TVG) for pair in denied} == {NOT_REFERRED}


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (lambda r: r["tgt"]["d2vlm_0_shift"].pop(), "2 <evi> for 1 times"),
        (lambda r: r["conversations"].update(short=r["conversations"]["chosen"]), "fewer than three fields"),
        (lambda r: r["conversations"].update(a_b_f=r["conversations"]["chosen"]), "a text variant of tvg"),
        (lambda r: r["conversations"]["chosen"][1].update(value="</evi>None."), "does not start with <evi>"),
    ],
)
def test_a_broken_record_is_noticed(broken, problem):
    pair = next(pair for pair in pairs_of(s.TVG) if pair.factors[0].operator == "shift")
    found = authors_record(s.TVG, [pair], s.DURATION_S)
    assert problems_of_authors_record(found) == []
    broken(found)
    assert any(problem in each for each in problems_of_authors_record(found))
