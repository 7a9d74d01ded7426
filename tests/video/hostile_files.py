"""What is not even a video file: other kinds of files, and things that are no files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import wave
import zipfile
import zlib
from pathlib import Path

from PIL import Image

from video.hostile import Ground, case, content, link


def picture(form: str, size: tuple[int, int] = (32, 32)) -> bytes:
    """An image file."""
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, form)
    return out.getvalue()


def huge_png(side: int) -> bytes:
    """A picture of side x side black pixels, one bit each."""
    packed = zlib.compress((b"\x00" + bytes(side // 8)) * side, 1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def archive(ground: Ground) -> bytes:
    """A ZIP with a good video inside."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("good.mp4", ground.good)
    return out.getvalue()


def tone() -> bytes:
    """A second of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return out.getvalue()


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n" * 20
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/x.png"/></svg>' * 8

content("empty.mp4", "empty", lambda g: b"")
content("one_byte.mp4", "not_a_video", lambda g: b"\x00")
content("nul_bytes.mp4", "not_a_video", lambda g: bytes(100_000))
content("text.mp4", "not_a_video", lambda g: b"not a video\n" * 500)
content("html.mp4", "not_a_video", lambda g: b"<html><video src='http://127.0.0.1/v.mp4'></html>" * 20)
content("png.mp4", "not_a_video", lambda g: picture("PNG"))
content("huge_png.mp4", "not_a_video", lambda g: huge_png(16384))
content("gif.mp4", "not_a_video", lambda g: picture("GIF"))
content("jpeg.mp4", "not_a_video", lambda g: picture("JPEG"))
content("webp.mp4", "not_a_video", lambda g: picture("WEBP"))
content("svg.mp4", "not_a_video", lambda g: SVG)
content("pdf.mp4", "not_a_video", lambda g: PDF)
content("zip.mp4", "not_a_video", archive)
content("gzip.mp4", "not_a_video", lambda g: gzip.compress(g.good))
content("pickle.mp4", "not_a_video", lambda g: pickle.dumps({"video": [0.0] * 500}))
content("wave.mp4", "not_a_video", lambda g: tone())
content("annotations.mp4", "not_a_video", lambda g: b'{"video": "a.mp4", "events": []}\n' * 50)
content("reversed.mp4", "not_a_video", lambda g: g.good[::-1])

case("outward_link.mp4", "outside_root")(lambda g, path: os.symlink(g.secret, path))
case("inward_link.mp4", "ok")(lambda g, path: os.symlink(_kept(g), path))
case("relative_link.mp4", "outside_root")(lambda g, path: os.symlink(f"../{g.secret.name}", path))
case("passwd.mp4", "outside_root")(link("/etc/passwd"))
case("zero_device.mp4", "outside_root")(link("/dev/zero"))
case("process.mp4", "outside_root")(link("/proc/self/fd/0"))
case("dangling.mp4", "missing")(link("nothing.mp4"))
case("circle.mp4", "missing")(link("circle.mp4"))
case("pipe.mp4", "not_a_file")(lambda g, path: os.mkfifo(path))
case("folder.mp4", "not_a_file")(lambda g, path: path.mkdir())
case("absent.mp4", "missing")(lambda g, path: None)


def _kept(ground: Ground) -> Path:
    kept = ground.root / "kept.bin"
    kept.write_bytes(ground.good)
    return kept


@case("socket.mp4", "not_a_file")
def _socket(ground: Ground, path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has little room
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)
