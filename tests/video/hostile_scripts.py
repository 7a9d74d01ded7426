"""Files that name others: playlists, scripts, references to data elsewhere."""

from __future__ import annotations

from video.hostile import Ground, be32, content

MPD = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S" minBufferTime="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation
 id="v" bandwidth="1000" width="64" height="48"><BaseURL>{url}</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""
HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n"
ENCRYPTED = HLS.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF')
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=64x48\n{url}\n"
CONCAT = "ffconcat version 1.0\nfile '{url}'\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
AVISYNTH = 'FFVideoSource("{url}")\n'
XSPF = (
    '<?xml version="1.0"?><playlist version="1"><trackList><track><location>{url}</location></track>'
    "</trackList></playlist>"
)
SMIL = '<smil><body><video src="{url}"/></body></smil>'
PLS = "[playlist]\nFile1={url}\nNumberOfEntries=1\n"
ASX = '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>'

SCRIPTS = {
    "concat": CONCAT,
    "hls": HLS,
    "hls_master": MASTER,
    "hls_key": ENCRYPTED,
    "dash": MPD,
    "avisynth": AVISYNTH,
    "xspf": XSPF,
    "smil": SMIL,
    "pls": PLS,
    "asx": ASX,
}
SUFFIXES = {"concat": "ffconcat", "hls": "m3u8", "dash": "mpd", "avisynth": "avs"}


def script(name: str, text: str, scheme: str) -> None:
    """Register a script that names the secret file, or the server."""

    def bytes_of(ground: Ground) -> bytes:
        named = {"file": ground.secret.as_uri(), "path": str(ground.secret)}
        url = named.get(scheme, f"{scheme}://{ground.address}/video.mp4")
        return text.replace("{url}", url).encode()

    content(name, "not_a_video", bytes_of)


for kind, text in SCRIPTS.items():
    for scheme in ("path", "file", "http"):
        script(f"{kind}_{scheme}.mp4", text, scheme)
for kind, suffix in SUFFIXES.items():
    script(f"{kind}.{suffix}", SCRIPTS[kind], "path")
script("session.sdp", SDP, "path")
script("session.mp4", SDP, "path")
script("hls_tcp.mp4", HLS, "tcp")
script("hls_pretends_to_be_ts.ts", "G" + HLS, "http")
script("image%03d.png", "no picture either", "path")


def external_data(ground: Ground, kind: bytes, data: bytes) -> bytes:
    """The good clip with its pictures said to lie in another file; everything else is in place."""
    data_reference = ground.good.index(b"dref") - 4
    old_size = int.from_bytes(ground.good[data_reference : data_reference + 4], "big")
    entry = be32(12 + len(data)) + kind + bytes(4) + data
    new = be32(16 + len(entry)) + b"dref" + bytes(4) + be32(1) + entry
    return grown(ground.good, data_reference, old_size, new)


def grown(data: bytes, at: int, old_size: int, new: bytes) -> bytes:
    """`data` with the box at `at` replaced; sizes of the boxes around it and offsets are corrected."""
    delta = len(new) - old_size
    out = bytearray(data)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        size_at = data.index(box) - 4
        out[size_at : size_at + 4] = be32(int.from_bytes(out[size_at : size_at + 4], "big") + delta)
    offsets = data.index(b"stco") + 8
    for entry in range(int.from_bytes(data[offsets - 4 : offsets], "big")):
        place = slice(offsets + 4 * entry, offsets + 4 * entry + 4)
        out[place] = be32(int.from_bytes(out[place], "big") + delta)
    return bytes(out[:at]) + new + bytes(out[at + old_size :])


def alias(ground: Ground) -> bytes:
    """A QuickTime alias record that leads to the secret file."""
    path, name = str(ground.secret).encode(), ground.secret.name.encode()
    volume = b"\x06volume".ljust(28, b"\x00") + bytes(12)
    file = (bytes([len(name)]) + name).ljust(64, b"\x00") + bytes(16)
    levels = b"\x00\x01\x00\x01" + bytes(16)
    padded = path + b"\x00" * (len(path) % 2)
    entry = b"\x00\x02" + len(path).to_bytes(2, "big") + padded
    return bytes(10) + volume + file + levels + entry + b"\xff\xff"


def location(url: str) -> bytes:
    return url.encode() + b"\x00"


content("elsewhere_alias.mov", "truncated", lambda g: external_data(g, b"alis", alias(g)))
content("elsewhere_file.mp4", "no_frames", lambda g: external_data(g, b"url ", location(g.secret.as_uri())))
content(
    "elsewhere_http.mp4",
    "no_frames",
    lambda g: external_data(g, b"url ", location(f"http://{g.address}/v.mp4")),
)


def reference_movie(ground: Ground) -> bytes:
    """A QuickTime movie that consists of the address of another one."""
    url = f"http://{ground.address}/v.mov".encode() + b"\x00"
    rdrf = be32(20 + len(url)) + b"rdrf" + bytes(4) + b"url " + be32(len(url)) + url
    rmda = be32(8 + len(rdrf)) + b"rmda" + rdrf
    rmra = be32(8 + len(rmda)) + b"rmra" + rmda
    return ground.good[:28] + be32(8 + len(rmra)) + b"moov" + rmra


content("reference_movie.mov", "truncated", reference_movie)
