"""What Kedro-Viz shows of a dataset: the first rows, a shortened record, a chart, a picture.

Nothing is verified: a preview is looked at, never computed with.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

ROWS = 8
_ITEMS = 12
_CHARACTERS = 200


def first_rows(path: Path, rows: int = ROWS) -> dict[str, Any]:
    """The first lines of a file of JSON lines as a table: `index`, `columns` and `data`.

    Lines that are no JSON objects (raw files may hold anything) are shown as text.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        return table([_record(line) for line in islice(stream, rows)])


def table(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Records as a table, with a column for every key that one of them has."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    data = [[_cell(record.get(column)) for column in columns] for record in records]
    return {"index": list(range(len(records))), "columns": columns, "data": data}


def shortened(value: Any) -> Any:
    """The same record with long lists, mappings and texts cut, each saying how much was left out."""
    if isinstance(value, dict):
        kept = {name: shortened(below) for name, below in islice(value.items(), _ITEMS)}
        return kept if len(value) <= _ITEMS else {**kept, "…": f"{len(value) - _ITEMS} more"}
    if isinstance(value, list):
        some = [shortened(below) for below in value[:_ITEMS]]
        return some if len(value) <= _ITEMS else [*some, f"… {len(value) - _ITEMS} more"]
    if isinstance(value, str) and len(value) > _CHARACTERS:
        return f"{value[:_CHARACTERS]}…"
    return value


def curves_chart(record: dict[str, Any]) -> dict[str, Any]:
    """Curves of a phase (`points`, each with its `step`) as a Plotly chart: a line for every figure."""
    points = record["points"]
    names = list(dict.fromkeys(name for point in points for name in point if name != "step"))
    lines = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": [point["step"] for point in points if name in point],
            "y": [point[name] for point in points if name in point],
            # The loss is what one looks for; the others are a click away.
            "visible": True if name == "loss" else "legendonly",
        }
        for name in names
    ]
    return {"data": lines, "layout": {"xaxis": {"title": {"text": "step"}}}}


def empty_chart(said: Mapping[str, str]) -> dict[str, Any]:
    """A chart without lines, and why."""
    title = ", ".join(f"{name}: {value}" for name, value in said.items())
    return {"data": [], "layout": {"title": {"text": title}}}


def picture(path: Path) -> str:
    """The bytes of a picture in base64."""
    return base64.b64encode(path.read_bytes()).decode("ascii")


def folder(path: Path) -> dict[str, Any]:
    """Files below a folder with their bytes, and how many of each there are."""
    sizes = {each.relative_to(path).as_posix(): each.stat().st_size for each in _files(path)}
    return {"files": len(sizes), "bytes": sum(sizes.values()), "content": shortened(sizes)}


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file())


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = line.rstrip("\n")
    return record if isinstance(record, dict) else {"line": record}


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value)
    if value is None or isinstance(value, int | float):
        return value
    return shortened(json.dumps(value, ensure_ascii=False))
