"""Test footage in what models learn from, planted and found."""

from d2vlm_pipeline.annotations.contamination import find_contamination
from d2vlm_pipeline.artifacts import digest_json
from orchestration.validation.cases import refused, video

HASHES = tuple(digest_json(["one film", number]) for number in range(8))
OTHERS = tuple(digest_json(["another film", number]) for number in range(8))

TEST = video("test.mp4", "a" * 64, fingerprint=HASHES)
CLEAN = video("train.mp4", "b" * 64, fingerprint=OTHERS)


def test_footage_that_is_apart_is_clean():
    found = find_contamination(["test.mp4"], [TEST, CLEAN], {"train": [CLEAN], "align": []})
    assert (found.clips, found.unseen, found.found) == (1, 0, ())
    assert found.sources == {"align": 0, "train": 1}


def test_the_same_file_under_another_name_is_found_by_its_content():
    copy = video("renamed.mp4", "a" * 64, fingerprint=HASHES)
    found = find_contamination(["test.mp4"], [TEST], {"align": [CLEAN, copy]})
    assert found.found == ("test.mp4 is renamed.mp4 of align",)


def test_the_same_clip_in_two_splits_is_found():
    found = find_contamination(["test.mp4"], [TEST], {"train": [TEST]})
    assert found.found == ("test.mp4 is test.mp4 of train",)


def test_a_film_that_was_encoded_again_is_found_by_its_look_even_under_the_same_name():
    again = video("test.mp4", "c" * 64, fingerprint=(*HASHES[:6], *OTHERS[:2]))
    found = find_contamination(["test.mp4"], [TEST], {"preference": [again]})
    assert found.found == ("test.mp4 looks like test.mp4 of preference (75 % of the frames agree)",)


def test_clips_of_which_nothing_is_known_are_counted():
    bad = refused("bad.mp4")
    found = find_contamination(["bad.mp4", "gone.mp4", "test.mp4"], [TEST, bad], {"train": [CLEAN]})
    assert (found.clips, found.unseen) == (3, 2)
