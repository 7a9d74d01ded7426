"""How dense captions are scored: strictly, and with each quirk of the public script."""

from dataclasses import dataclass, replace

from d2vlm_pipeline.evaluation.benchmarks.records import Protocol, Trap

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class DenseRules:
    """Switches, each a quirk of the public script; none is the strict protocol.

    Attributes:
        many_to_many: an interval may meet any number of intervals of the other side, and a predicted caption
            is scored against each; else each side is used once.
        own_documents: CIDEr's document frequency comes from the references that the predictions of one video
            were compared with, one random string for each prediction without any; else from all true
            captions.
        pooled_meteor: METEOR adds up the words of all pairs of a video, random strings included; else it is
            the mean of the captions' scores, 0 without a pair.
        two_thresholds: an IoU at the threshold pairs captions but finds no event, and unions are longer by
            1e-8 s.
        turned_around: an interval that ends before it begins is read backwards; else it is none.
        as_listed: SODA takes predictions in the order given; else in order of start.
        swapped_roles: SODA takes the predicted caption for the reference and the true one for the candidate.
        sorted_as_text: SODA gives the k-th prediction of a video the caption score of the k-th in the order
            0 1 10 11 2 ….
        both_sets: a figure for each of two sets of annotations, -100 for the one that is not there.
        refuses_surplus: predictions of unknown videos, or in another unit of time, are an error.
    """

    many_to_many: bool = False
    own_documents: bool = False
    pooled_meteor: bool = False
    two_thresholds: bool = False
    turned_around: bool = False
    as_listed: bool = False
    swapped_roles: bool = False
    sorted_as_text: bool = False
    both_sets: bool = False
    refuses_surplus: bool = True
    thresholds: tuple[float, ...] = THRESHOLDS


STRICT = DenseRules()
_OFFICIAL = DenseRules(
    many_to_many=True,
    own_documents=True,
    pooled_meteor=True,
    two_thresholds=True,
    turned_around=True,
    as_listed=True,
    swapped_roles=True,
    sorted_as_text=True,
    both_sets=True,
    refuses_surplus=False,
)

PROTOCOLS: dict[str, Protocol[DenseRules]] = {
    "strict": Protocol(STRICT, "events and predictions count once each, CIDEr weighs words by all captions"),
    "official": Protocol(
        _OFFICIAL, "the D²VLM authors' copy of TimeChat's script, with CIDEr of each video by its own matches"
    ),
}

TRAPS: tuple[Trap[DenseRules], ...] = (
    Trap(
        replace(STRICT, own_documents=True),
        "CIDEr weighs words by the references that the video's own predictions met, with random strings for "
        "those that met none, so near-copies among few matches exceed anything that a corpus allows",
        "official",
        9,
    ),
    Trap(
        replace(STRICT, many_to_many=True),
        "one prediction may find several events and several predictions one, so repeating one is free",
        "official",
        9,
    ),
    Trap(
        replace(STRICT, pooled_meteor=True),
        "METEOR adds up the words of a video's pairs, so long captions and random strings weigh by length",
        "official",
        9,
    ),
    Trap(
        replace(STRICT, two_thresholds=True),
        "an IoU at the threshold pairs captions but finds no event, and unions are 1e-8 s longer",
        "official",
        10,
    ),
    Trap(
        replace(STRICT, turned_around=True),
        "an interval that ends before it begins is read backwards",
        "official",
    ),
    Trap(
        replace(STRICT, as_listed=True),
        "SODA takes predictions in the order of the file and not of time",
        "official",
    ),
    Trap(
        replace(STRICT, swapped_roles=True),
        "SODA's METEOR takes the predicted caption for the reference and the true one for the candidate",
        "official",
    ),
    Trap(
        replace(STRICT, sorted_as_text=True),
        "SODA's scores come sorted as text, 0 1 10 2: of 11 predictions and more they belong to other ones",
        "official",
        9,
    ),
)
