"""Samples and pairs become branches: ids, places of `<evi>`, spans of frames, labels, partners."""

import pytest
import torch

from d2vlm_pipeline.model.packing import FRAME_SLOT, pack
from d2vlm_pipeline.objectives import SFTConfig, frame_labels
from d2vlm_pipeline.timeline import GroundedResponse, Interval
from model import tiny

CLOCK = tiny.clock(8)


def text_of(ids: list[int]) -> str:
    return tiny.tokenizer().decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("form", tiny.EVERY_FORM)
def test_a_branch_reads_like_its_sample(form: str) -> None:
    sample = tiny.sample(form)
    branch = tiny.encoder().sample(sample, CLOCK)
    (response,) = branch.responses
    assert text_of(branch.question_ids).startswith(sample.question)
    assert text_of(branch.question_ids).endswith("<|end|><|assistant|>")
    assert text_of(response.token_ids) == sample.response().render() + "<|end|>"
    assert all(response.supervised) and len(response.supervised) == len(response.token_ids)
    assert [response.token_ids[place] for place in response.evi_positions] == [tiny.tokens().evi] * len(
        response.evi_positions
    )


def test_no_event_no_evidence() -> None:
    (response,) = tiny.encoder().sample(tiny.sample("absent"), CLOCK).responses
    assert response.token_ids[0] == tiny.tokens().evi_end
    assert (response.evi_positions, response.evidence, response.pairs) == ([], [], [])
    assert not response.labels_KT.any()


def test_the_row_that_declines_is_grounded_to_no_frame_where_asked_for() -> None:
    asked = len(tiny.encoder().sample(tiny.sample("absent"), CLOCK).question_ids)
    for grounded in (True, False):
        encoder = tiny.encoder(SFTConfig(ground_absent=grounded))
        branches = [encoder.sample(tiny.sample(form), CLOCK) for form in ("absent", "rar")]
        batch = pack([tiny.clip_of(tiny.features(8), branches)], 0)
        # A choice among options declines nothing.
        assert batch.query_row_M.tolist() == [asked - 1] * grounded
        assert batch.query_label_MT.tolist() == [[0.0] * 8] * grounded


def test_three_events_twice_each_with_its_partner() -> None:
    sample = tiny.sample("dvc")
    (response,) = tiny.encoder().sample(sample, CLOCK).responses
    assert response.evi_positions[:3] == [0, 1, 2]
    assert response.evidence == [(1, 2), (2, 4), (6, 7)] * 2
    assert response.pairs == [(0, 3), (1, 4), (2, 5)]
    expected = frame_labels(sample.intervals, CLOCK, SFTConfig())
    assert torch.equal(response.labels_KT, expected.repeat(2, 1))
    assert expected[0].tolist() == [0, 1, 1, 0, 0, 0, 0, 0]


def test_labels_are_of_the_kind_asked_for() -> None:
    encoder = tiny.encoder(SFTConfig(labels="soft_frames"))
    (response,) = encoder.sample(tiny.sample("tvg"), CLOCK).responses
    assert response.labels_KT[0].tolist() == [0.5, 1, 1, 1, 0.5, 0.25, 0.125, 0.0625]


def test_times_in_the_question_become_spans_in_order() -> None:
    branch = tiny.encoder().sample(tiny.sample("rar"), CLOCK)
    assert branch.question_spans == [(0, 1), (5, 6)]
    assert [branch.question_ids[place] for place in branch.question_evi_positions] == [tiny.tokens().evi] * 2
    assert text_of(branch.question_ids).endswith(" (A) red (B) blue<|end|><|assistant|>")
    assert branch.responses[0].evi_positions == []


def test_an_answer_without_references_has_one_half() -> None:
    sample = tiny.sample("tvg")
    bare = GroundedResponse(evidence=sample.intervals, segments=("It happens.",))
    pair = tiny.pair(sample).model_copy(update={"chosen": bare})
    chosen = tiny.encoder().pair(sample, pair, CLOCK).responses[0]
    assert (chosen.evi_positions, chosen.evidence, chosen.pairs) == ([0], [(1, 2)], [])
    assert chosen.labels_KT.shape == (1, 8)


def test_a_pair_holds_both_sides_behind_one_question() -> None:
    sample = tiny.sample("tvg")
    branch = tiny.encoder().pair(sample, tiny.pair(sample), CLOCK)
    chosen, rejected = branch.responses
    assert text_of(chosen.token_ids) == "<evi></evi>The event happens in <evi>.<|end|>"
    assert text_of(rejected.token_ids) == "<evi><evi></evi>then <evi>then <evi><|end|>"
    assert rejected.evidence == [(4, 4)] * 4
    assert rejected.pairs == [(0, 2), (1, 3)]


def test_events_are_seen_through_the_clips_own_clock() -> None:
    sample = tiny.sample("tvg", events=[{"start_s": 0.9, "end_s": 3.1}])
    (response,) = tiny.encoder().sample(sample, CLOCK).responses
    assert set(response.evidence) == {CLOCK.frames_of(Interval(start_s=0.9, end_s=3.1))} == {(1, 6)}


def test_a_clip_starts_with_a_slot_for_every_frame() -> None:
    clip = tiny.clip(5, ("tvg",))
    assert clip.prefix.ids == [*tiny.tokens().before_frames, *[FRAME_SLOT] * 5]


def test_rows_of_a_packed_batch() -> None:
    """Two clips, of three branches and of one, against a layout written out."""
    first, second = tiny.clip(8, ("tem", "rar", "tvg")), tiny.clip(5, ("tvg",))
    batch = pack([first, second], tiny.tokens().pad)
    lengths = [
        [len(branch.question_ids) + len(branch.responses[0].token_ids) for branch in clip.branches]
        for clip in (first, second)
    ]
    every = [*lengths[0], *lengths[1]]
    assert batch.suffix_ids_S.shape == (sum(every),)
    begins = [sum(every[:question]) for question in range(4)]
    for begin, length, row in zip(begins, every, batch.question_row_QK.tolist(), strict=True):
        assert row == [*range(begin, begin + length), *[-1] * (max(every) - length)]
    assert batch.question_clip_Q.tolist() == [0, 0, 0, 1]
    starts = [9, 9, 9, 6]
    restarts = [start + at for start, length in zip(starts, every, strict=True) for at in range(length)]
    assert batch.suffix_position_S.tolist() == restarts
    assert batch.branch_clip_R.tolist() == [0, 0, 0, 1]
    assert batch.branch_question_R.tolist() == [0, 1, 2, 3]
    assert batch.frame_valid_BT.sum(-1).tolist() == [8, 5]
    assert batch.prefix_valid_BP.sum(-1).tolist() == [9, 6]
    ids = batch.suffix_ids_S
    # A token is read from the row before it; the first of a response from the question's last.
    assert ids[batch.evi_row_E].eq(tiny.tokens().evi).all()
    for row, token in zip(batch.token_row_N.tolist(), batch.token_id_N.tolist(), strict=True):
        assert ids[row + 1] == token
    assert torch.equal(ids[batch.query_row_M + 1], torch.full_like(batch.query_row_M, tiny.tokens().evi))
    assert batch.evi_from_question_E.tolist() == [True, False, False, True, True, False, False, False, False]


def test_the_rejected_side_starts_where_the_chosen_one_does() -> None:
    sample = tiny.sample("tvg")
    branch = tiny.encoder().pair(sample, tiny.pair(sample), CLOCK)
    batch = pack([tiny.clip_of(tiny.features(8), [branch])], 0)
    asked, chosen = len(branch.question_ids), len(branch.responses[0].token_ids)
    position, variant = batch.suffix_position_S, batch.question_variant_QK[0]
    assert position[asked + chosen] == position[asked] == 9 + asked
    assert [int((variant == side).sum()) for side in (0, 1, 2)] == [
        asked,
        chosen,
        len(branch.responses[1].token_ids),
    ]
    starts = [int(batch.token_row_N[batch.token_branch_N == side][0]) for side in (0, 1)]
    assert starts == [asked - 1, asked - 1]
    assert batch.branch_question_R.tolist() == [0, 0]
