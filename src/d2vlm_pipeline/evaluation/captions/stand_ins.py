"""What public scripts compare a caption with that met no event."""

import random

_SEED = 0
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def random_letters(count: int) -> list[str]:
    """`count` strings of 10 to 20 letters, as the scripts draw them after `random.seed(0)`."""
    draw = random.Random(_SEED)
    made = []
    for _ in range(count):
        missing, letters = draw.randint(10, 20), ""
        while missing:  # as `random.choice` draws one of 26, without its calls
            number = draw.getrandbits(5)
            if number < 26:
                letters += _ALPHABET[number]
                missing -= 1
        made.append(letters)
    return made
