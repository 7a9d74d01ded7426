"""Random strings are those that the public scripts draw."""

import random
import string

from d2vlm_pipeline.evaluation.captions.stand_ins import random_letters


def test_strings_are_drawn_as_the_scripts_draw_them() -> None:
    draw = random.Random(0)
    letters = string.ascii_lowercase
    drawn = ["".join(draw.choice(letters) for _ in range(draw.randint(10, 20))) for _ in range(300)]
    assert random_letters(300) == drawn
    assert random_letters(0) == []
