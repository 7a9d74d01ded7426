"""What the authors' training code asks of a record (method.md §5.2), apart from what makes it."""

from typing import Any

from d2vlm_pipeline.timeline import EVI, EVI_END

CAPTIONED = ("dvc", "slc", "tvc")


def problems_of_authors_record(record: dict[str, Any]) -> list[str]:
    """What the authors' training code would stumble over (method.md §5.2)."""
    problems = []
    targets, said = record.get("tgt", {}), record["conversations"]
    for name, turns in said.items():
        response, fields = turns[-1]["value"], name.split("_")
        kind = "chosen" if name == "chosen" else fields[2] if len(fields) > 2 else ""
        if name != "chosen" and len(fields) < 3:
            problems.append(f"{name}: fewer than three fields")
        if kind in ("f", "repeat", "qwen") and record["task"] not in (*CAPTIONED, "rvc"):
            problems.append(f"{name}: a text variant of {record['task']}")
        if kind == "qwen" and record["task"] != "rvc":
            problems.append(f"{name}: qwen is for rvc")
        if record["task"] == "rvc":
            problems += [] if response.startswith(EVI_END) else [f"{name}: does not start with {EVI_END}"]
        elif not response.startswith(EVI):
            problems.append(f"{name}: does not start with {EVI}")
        if response.count(EVI) != len(targets.get(name, [])):
            problems.append(f"{name}: {response.count(EVI)} {EVI} for {len(targets.get(name, []))} times")
    return problems
