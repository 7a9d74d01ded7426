"""Hand-written samples of every answer form."""

from random import Random

from d2vlm_pipeline.preferences import DonorPool, PreferenceConfig, Scene
from d2vlm_pipeline.timeline import Event, Sample

DURATION_S = 30.0
CAPTIONS = ("a red ball enters", "a blue star grows", "a green crate leaves")
SPANS = ((2.0, 5.0), (8.0, 12.0), (20.0, 23.0))


def events(count: int) -> tuple[Event, ...]:
    return tuple(
        Event(start_s=start_s, end_s=end_s, caption=caption)
        for (start_s, end_s), caption in zip(SPANS[:count], CAPTIONS, strict=False)
    )


def sample(task: str, answer: str, count: int = 0, **fields) -> Sample:
    return Sample(
        **{
            "id": f"clip_1/{task}/{count}",
            "video": "clip_1.mp4",
            "task": task,
            "source": "test",
            "split": "train",
            "question": "What happens?",
            "events": events(count),
            "answer": answer,
            **fields,
        }
    )


def listing(count: int, task: str = "tal") -> Sample:
    """ "The action happens in <evi>, <evi>, and <evi>." """
    places = ["<evi>"] * count
    text = places[0] if count == 1 else ", ".join(places[:-1]) + ", and " + places[-1]
    return sample(task, f"The action happens in {text}.", count)


def captions(count: int, task: str = "dvc", said: tuple[str, ...] = CAPTIONS) -> Sample:
    """ "<evi>, a red ball enters. <evi>, a blue star grows." """
    return sample(task, " ".join(f"<evi>, {caption}." for caption in said[:count]), count)


def choice(task: str, count: int = 0) -> Sample:
    text = "(B) blue. The relevant event happens in <evi>." if count else "(B) blue."
    return sample(task, text, count, options=["red", "blue", "green", "white"], answer_index=1)


TVG = sample("tvg", "The event happens in <evi>.", 1)
ABSENT = sample("tvg", "No such event happens in the video.", 0, id="clip_1/tvg/absent")
RVC = sample("rvc", "A red ball enters.", 0, question="Describe <evi>.", query_intervals=[SPANS[0]])

ALL = [
    TVG,
    ABSENT,
    *(sample(task, "It happens at <evi>.", 1) for task in ("epm", "vhd", "tem")),
    *(listing(count, task) for task in ("tal", "evs") for count in (1, 2, 3)),
    *(captions(count, task) for task in ("dvc", "slc", "tvc") for count in (1, 2, 3)),
    RVC,
    choice("gvq", 1),
    *(choice(task) for task in ("rvq", "rar", "eca", "mcq")),
]


def other_clip() -> Sample:
    """Donor material: captions that share words with those above, true of another video."""
    said = ("a red ball leaves", "a blue star shrinks", "a white fish blinks")
    return captions(3, said=said).model_copy(update={"id": "clip_2/dvc/0", "video": "clip_2.mp4"})


def donors(*more: Sample) -> DonorPool:
    return DonorPool.of([*ALL, other_clip(), *more])


def scene(of: Sample, *, pool: DonorPool | None = None, duration_s: float = DURATION_S, **config) -> Scene:
    return Scene(of, duration_s, donors() if pool is None else pool, PreferenceConfig(**config))


def many(count: int = 50):
    """Streams of chance to try an operator with."""
    return (Random(seed) for seed in range(count))


def moved(operator: str, low: float, high: float, **counts) -> dict:
    """Magnitudes that ask one operator for an IoU band."""
    return {operator: {"iou": [{"low": low, "high": high}], **counts}}
