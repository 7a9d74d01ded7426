import json

from d2vlm_pipeline.annotations import Rejection, build_quarantine_report, quarantined_videos
from d2vlm_pipeline.video import VideoRow


def row(video: str, reason: str | None = None) -> VideoRow:
    fields = {
        "video": video,
        "path": f"videos/{video}",
        "reason": reason,
        "detail": f"{video}: why" if reason else "",
    }
    return VideoRow.model_validate(fields | {"status": "quarantined" if reason else "ok"})


def rejected(line: int, code: str) -> Rejection:
    fields = {"file": "a.jsonl", "line": line, "code": code, "reason": "why", "mend": "how"}
    return Rejection.model_validate(fields)


ROWS = [row("a.mp4"), row("b.mp4", "truncated"), row("c.mp4", "missing"), row("d.mp4", "truncated")]
REJECTIONS = [rejected(4, "duplicate_id"), rejected(9, "event_past_end"), rejected(12, "event_past_end")]


def test_counts_have_their_denominators() -> None:
    report = build_quarantine_report(ROWS, samples_kept=40, rejections=REJECTIONS)
    assert (report.videos_total, report.rows_total) == (4, 43)
    assert report.video_counts == {"missing": 1, "truncated": 2}
    assert report.row_counts == {"duplicate_id": 1, "event_past_end": 2}
    assert report.summary() == (
        "quarantine: 3 of 4 videos (missing 1, truncated 2); 3 of 43 rows (duplicate_id 1, event_past_end 2)"
    )


def test_json_holds_every_case_and_the_counts() -> None:
    report = build_quarantine_report(ROWS, samples_kept=40, rejections=REJECTIONS)
    data = json.loads(report.to_json())
    assert [video["video"] for video in data["videos"]] == ["b.mp4", "c.mp4", "d.mp4"]
    assert data["videos"][0]["detail"] == "b.mp4: why"
    assert [(r["file"], r["line"]) for r in data["rows"]] == [("a.jsonl", 4), ("a.jsonl", 9), ("a.jsonl", 12)]
    assert data["video_counts"] == report.video_counts and data["row_counts"] == report.row_counts
    assert report.to_json() == build_quarantine_report(ROWS, 40, REJECTIONS).to_json()


def test_nothing_lost_says_so() -> None:
    report = build_quarantine_report([row("a.mp4")], samples_kept=2, rejections=[])
    assert report.summary() == "quarantine: 0 of 1 videos; 0 of 2 rows"


def test_a_name_listed_twice_is_not_a_quarantined_video() -> None:
    rows = [row("a.mp4"), row("a.mp4", "duplicate_name"), row("b.mp4", "missing")]
    assert quarantined_videos(rows) == {"b.mp4": "missing"}
