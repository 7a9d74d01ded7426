"""Functions and records that the tests' catalogs and pipelines name by dotted path."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import StrictModel, UserError

if TYPE_CHECKING:
    import pandas as pd


class Point(StrictModel):
    x: int


def save_lines(lines: Iterable[str], directory: Path, end: str = "\n") -> None:
    """One file a line, written as they come."""
    for number, line in enumerate(lines):
        (directory / f"{number}.txt").write_text(line + end)


def load_lines(directory: Path) -> list[str]:
    return [path.read_text().strip() for path in sorted(directory.glob("*.txt"))]


def save_nothing(data: object, directory: Path) -> None:
    raise UserError("points.csv:3: no such point; drop the row")


def points(count: int) -> Iterator[Point]:
    return (Point(x=x) for x in range(count))


def doubled(records: list[Point]) -> Iterator[Point]:
    return (Point(x=2 * record.x) for record in records)


def numbers() -> dict[str, int]:
    return {"one": 1}


def words(numbers: dict[str, int]) -> Iterator[str]:
    return iter(sorted(numbers))


def save_remembering(lines: Iterable[str], directory: Path, cache: Path, published: Path) -> None:
    """Lines, and after them those of the last time; `cache` and `published` are what a catalog hands over."""
    cache.mkdir(exist_ok=True)
    old = load_lines(published) if published.exists() else []
    kept = load_lines(cache)
    save_lines([*lines, *old, *kept], directory)
    save_lines(["kept"], cache)


def points_table(points: Iterable[Point]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"x": [point.x for point in points]})
