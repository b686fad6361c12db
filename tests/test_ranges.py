"""Byte ranges (RFC 9110 section 14) on files in memory and on files read by range."""

import re
import subprocess

import pytest

from harness.site import MTIME_TEXT, build_site, pattern

SMALL = b"0123456789"
BIG = pattern(3 << 20, seed=9)
SIZES = {"/small.txt": SMALL, "/big.bin": BIG}


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    files = {"small.txt": SMALL, "big.bin": BIG, "empty.txt": b"", "index.html": "home"}
    return launch_module(build_site(tmp_path_factory.mktemp("ranges") / "site", files))


SINGLE = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-4", 0, 5),
    ("bytes=3-", 3, None),
    ("bytes=9-9", 9, 10),
    ("bytes=-1", -1, None),
    ("bytes=-4", -4, None),
    ("bytes=-999999999999999999999999", 0, None),
    ("bytes=2-99999999999999999999999", 2, None),
    ("bytes= 1-2", 1, 3),
    ("Bytes=1-2", 1, 3),
    ("bytes=,1-2,", 1, 3),
    ("bytes=0-1,2-3", 0, 4),  # adjacent: one range
    ("bytes=0-5,3-7", 0, 8),  # overlapping: one range
    ("bytes=1-2,99999999-", 1, 3),  # the unsatisfiable part is dropped
]


@pytest.mark.parametrize("target", SIZES)
@pytest.mark.parametrize("value,start,end", SINGLE)
def test_single(server, target, value, start, end):
    full = SIZES[target]
    expected = full[slice(start, end)]
    first = len(full) + start if start < 0 else start
    response = server.get(target, f"Range: {value}")
    assert response.status == 206
    assert response.body == expected
    last = first + len(expected) - 1
    assert response.get("Content-Range") == f"bytes {first}-{last}/{len(full)}"
    whole = server.get(target)
    for name in ("Content-Type", "ETag", "Last-Modified", "Cache-Control"):
        assert response.get(name) == whole.get(name), name


IGNORED = [
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "bytes=5-3",
    "items=0-3",
    "0-3",
    "bytes=1-2x",
    "bytes 0-3",
    "bytes=0-1;2-3",
    "bytes=+1-2",
    "bytes=1--2",
    "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 34, 2)),
]


@pytest.mark.parametrize("target", SIZES)
@pytest.mark.parametrize("value", IGNORED)
def test_ignored(server, target, value):
    response = server.get(target, f"Range: {value}")
    assert response.status == 200
    assert response.body == SIZES[target]


@pytest.mark.parametrize("target", SIZES)
@pytest.mark.parametrize(
    "value", ["bytes={n}-", "bytes={n}-{n}", "bytes=-0", "bytes=99999999999999999999-"]
)
def test_unsatisfiable(server, target, value):
    size = len(SIZES[target])
    with server.connect() as wire:
        response = wire.fetch(target, "Range: " + value.format(n=size))
        assert response.status == 416
        assert response.get("Content-Range") == f"bytes */{size}"
        assert not response.says_close
        assert wire.fetch("/small.txt").body == SMALL


def test_empty_file(server):
    assert server.get("/empty.txt").status == 200
    response = server.get("/empty.txt", "Range: bytes=0-")
    assert response.status == 416
    assert response.get("Content-Range") == "bytes */0"


def parse_multipart(response):
    """[(first, last, size, type, bytes)] of a multipart/byteranges answer, strictly."""
    media = re.fullmatch(
        r'multipart/byteranges; ?boundary="?([^"]{1,70})"?', response.get("Content-Type")
    )
    assert media, response.get("Content-Type")
    mark = b"--" + media.group(1).encode()
    rest, parts = response.body, []
    if rest.startswith(b"\r\n"):
        rest = rest[2:]
    while True:
        assert rest.startswith(mark), rest[:80]
        rest = rest[len(mark) :]
        if rest.startswith(b"--"):
            assert rest in (b"--", b"--\r\n"), rest
            return parts
        head, rest = rest[2:].split(b"\r\n\r\n", 1)
        fields = dict(l.decode().lower().split(": ", 1) for l in head.split(b"\r\n"))
        first, last, size = map(
            int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", fields["content-range"]).groups()
        )
        length = last - first + 1
        parts.append((first, last, size, fields.get("content-type"), rest[:length]))
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


MULTIPLE = [
    ("bytes=0-1,4-5", [(0, 1), (4, 5)]),
    ("bytes=7-8, 0-1", [(7, 8), (0, 1)]),  # in the order asked for
    ("bytes=0-0,-1", [(0, 0), (-1, -1)]),
    ("bytes=0-2,1-4,7-8", [(0, 4), (7, 8)]),
    ("bytes=" + ",".join(f"{i}-{i}" for i in range(0, 10, 2)), [(i, i) for i in range(0, 10, 2)]),
]


@pytest.mark.parametrize("target", SIZES)
@pytest.mark.parametrize("value,ranges", MULTIPLE)
def test_multiple(server, target, value, ranges):
    full = SIZES[target]
    ranges = [(a % len(full), b % len(full)) for a, b in ranges]
    with server.connect() as wire:
        response = wire.fetch(target, f"Range: {value}")
        assert response.status == 206
        assert response.get("Content-Range") is None
        assert response.length == len(response.body)
        parts = parse_multipart(response)
        assert [(p[0], p[1]) for p in parts] == ranges
        for first, last, size, media_type, data in parts:
            assert size == len(full)
            assert data == full[first : last + 1]
            assert media_type and (target == "/big.bin" or media_type.startswith("text/plain"))
        assert wire.fetch("/small.txt").body == SMALL


def test_sixteen_ranges_of_a_big_file(server):
    step = len(BIG) // 16
    ranges = [(i * step, i * step + step // 2) for i in range(16)]
    response = server.get("/big.bin", "Range: bytes=" + ",".join(f"{a}-{b}" for a, b in ranges))
    assert response.status == 206
    for (first, last), part in zip(ranges, parse_multipart(response), strict=True):
        assert part[:2] == (first, last) and part[4] == BIG[first : last + 1]


@pytest.mark.parametrize("target", SIZES)
def test_if_range(server, target):
    tag = server.get(target, method="HEAD").get("ETag")
    with server.connect() as wire:

        def status(condition):
            return wire.fetch(target, "Range: bytes=1-2", f"If-Range: {condition}").status

        assert status(tag) == 206
        assert status('"other"') == 200
        assert status("W/" + tag) == 200
        assert status(MTIME_TEXT) == 206
        assert status("Wed, 03 Jan 2024 00:00:00 GMT") == 200
        assert status("Mon, 01 Jan 2024 00:00:00 GMT") == 200
        assert status("garbage") == 200


def test_if_range_without_range_is_ignored(server):
    assert server.get("/small.txt", 'If-Range: "x"').status == 200


def test_failed_if_range_beats_416(server):
    assert server.get("/small.txt", "Range: bytes=99-", 'If-Range: "x"').status == 200


@pytest.mark.parametrize("target", ["/missing", "/health"])
def test_ranges_are_for_files(server, target):
    response = server.get(target, "Range: bytes=0-1")
    assert response.status in (200, 404)
    assert response.get("Content-Range") is None


def test_every_cut_of_a_small_file(server):
    with server.connect() as wire:
        for first in range(10):
            for last in range(first, 12):
                response = wire.fetch("/small.txt", f"Range: bytes={first}-{last}")
                assert response.status == 206 and response.body == SMALL[first : last + 1]


def test_curl_resumes(server, tmp_path):
    target = tmp_path / "part"
    target.write_bytes(BIG[:1_234_567])
    command = ["curl", "-sSf", "-C", "-", "-o", target, server.url("/big.bin")]
    subprocess.run(command, check=True)
    assert target.read_bytes() == BIG


def test_ranges_around_the_edges_of_reads(server):
    """Offsets near powers of two, where buffers begin and end."""
    with server.connect() as wire:
        for shift in range(12, 22):
            edge = 1 << shift
            for first, last in ((edge - 1, edge), (edge, edge + 70000), (edge - 70000, edge - 1)):
                if first >= 0:
                    response = wire.fetch("/big.bin", f"Range: bytes={first}-{last}")
                    assert response.body == BIG[first : last + 1], (first, last)
