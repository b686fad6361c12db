"""`tarn cache`: ranges and conditions, on what is whole and on what is still coming in."""

import threading

import pytest

from harness.cache import Broken, Stream
from harness.origin import Serve
from harness.site import MTIME, MTIME_TEXT, pattern

BODY = pattern(200_000, seed=9)
SIZE = len(BODY)
HALF = 100_000


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module("--download-retry-time", "0")


@pytest.fixture
def whole(cache, origin):
    """The URL of what is there."""
    url = origin.add(Serve(BODY, etag='"v1"', modified=MTIME))
    cache.fetch(url)
    cache.wait_idle()
    return url


@pytest.fixture
def half(origin):
    """(URL of what comes only half way, gate to the rest)"""
    gate = threading.Event()
    yield origin.add(Serve(BODY, etag='"v1"', modified=MTIME, gates={HALF: gate})), gate
    gate.set()


RANGES = {
    "0-0": (0, 1),
    "0-99": (0, 100),
    "99999-100000": (99_999, 100_001),
    "150000-": (150_000, SIZE),
    "199999-": (SIZE - 1, SIZE),
    "199999-999999999": (SIZE - 1, SIZE),
    "-1": (SIZE - 1, SIZE),
    "-999999": (0, SIZE),
    "0-": (0, SIZE),
}


@pytest.mark.parametrize("spec", RANGES)
def test_of_what_is_whole(cache, whole, spec):
    start, end = RANGES[spec]
    answer = cache.fetch(whole, f"Range: bytes={spec}")
    assert (answer.status, answer.x_cache) == (206, "hit")
    assert answer.get("Content-Range") == f"bytes {start}-{end - 1}/{SIZE}"
    assert (answer.length, answer.body) == (end - start, BODY[start:end])
    assert answer.get("ETag") == '"v1"'


@pytest.mark.parametrize("spec", ["200000-", "200000-300000", "-0", "999999999999999999-"])
def test_past_the_end(cache, whole, spec):
    answer = cache.fetch(whole, f"Range: bytes={spec}")
    assert answer.status == 416
    assert answer.get("Content-Range") == f"bytes */{SIZE}"


@pytest.mark.parametrize("value", ["bytes=9-3", "bytes=x", "lines=1-2", "bytes=", "bytes=--1"])
def test_what_is_no_range_is_ignored(cache, whole, value):
    answer = cache.fetch(whole, f"Range: {value}")
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize("spec", RANGES)
def test_of_what_grows(cache, origin, half, spec):
    """What is there comes at once, the rest when it is there; one download all the same."""
    url, gate = half
    start, end = RANGES[spec]
    reader = cache.open(url)
    reader.read(HALF)
    part = cache.open(url, f"Range: bytes={spec}")
    assert part.status == 206
    assert part.get("Content-Range") == f"bytes {start}-{end - 1}/{SIZE}"
    there = max(0, min(end, HALF) - start)
    assert part.read(there) == BODY[start : start + there]
    if end > HALF:
        assert part.wire.is_quiet(0.02)
    gate.set()
    assert part.rest() == BODY[start + there : end]
    assert reader.rest() == BODY[HALF:]
    assert origin.count(url) == 1


def test_past_the_end_of_what_grows(cache, half):
    url, _ = half
    cache.open(url).read(1)
    answer = cache.fetch(url, f"Range: bytes={SIZE}-")
    assert (answer.status, answer.get("Content-Range")) == (416, f"bytes */{SIZE}")


def test_a_range_is_the_first_request(cache, origin):
    """It downloads the whole, asked for without Range."""
    url = origin.add(Serve(BODY))
    answer = cache.fetch(url, "Range: bytes=1000-1999")
    assert (answer.status, answer.body) == (206, BODY[1000:2000])
    cache.wait_idle()
    assert cache.fetch(url).body == BODY
    assert ["range" in r.headers for r in origin.requests(url)] == [False]


@pytest.mark.parametrize("spec", ["bytes=10-19", "bytes=150000-150009"])
def test_of_what_has_no_known_length(cache, origin, spec):
    gate = threading.Event()
    url = origin.add(Serve(BODY, framing="chunked", gates={HALF: gate}))
    cache.open(url).read(HALF)
    start = int(spec[6:].split("-")[0])
    wire = cache.ask(url, f"Range: {spec}")
    gate.set()
    part = Stream(wire)
    if part.status == 206:
        assert part.get("Content-Range") in (
            f"bytes {start}-{start + 9}/*",
            f"bytes {start}-{start + 9}/{SIZE}",
        )
        assert part.rest() == BODY[start : start + 10]
    else:
        assert (part.status, part.rest()) == (200, BODY)


@pytest.mark.parametrize("spec", ["bytes=-10", "bytes=150000-", "bytes=190000-300000"])
def test_open_ranges_of_what_has_no_known_length(cache, origin, spec):
    """Nobody can say yet where they end: the whole, or the right part; never a wrong one."""
    gate = threading.Event()
    url = origin.add(Serve(BODY, framing="chunked", gates={HALF: gate}))
    cache.open(url).read(HALF)
    wire = cache.ask(url, f"Range: {spec}")
    gate.set()
    part = Stream(wire)
    if part.status == 200:
        assert part.rest() == BODY
        return
    assert part.status == 206
    first, last = part.get("Content-Range").split()[1].split("/")[0].split("-")
    try:
        data = part.rest()
    except Broken:
        return
    assert data == BODY[int(first) : int(last) + 1]


def test_a_range_past_an_unknown_end(cache, origin):
    """It was promised, and cannot be had: broken, or 416; not short, and not waiting for ever."""
    gate = threading.Event()
    url = origin.add(Serve(BODY, framing="chunked", gates={HALF: gate}))
    cache.open(url).read(HALF)
    wire = cache.ask(url, f"Range: bytes={SIZE + 10}-{SIZE + 20}")
    gate.set()
    part = Stream(wire)
    if part.status == 206:
        assert part.until_broken() == b""
    elif part.status == 200:
        assert part.rest() == BODY
    else:
        assert part.status == 416


def test_several_ranges(cache, whole):
    answer = cache.fetch(whole, "Range: bytes=0-1,5-6")
    if answer.status == 200:
        assert answer.body == BODY
    else:
        assert answer.get("Content-Type").startswith("multipart/byteranges")


IF_RANGES = {'"v1"': 206, '"v2"': 200, 'W/"v1"': 200, MTIME_TEXT: 206}
IF_RANGES["Sat, 01 Jan 2000 00:00:00 GMT"] = 200


@pytest.mark.parametrize("condition", IF_RANGES)
@pytest.mark.parametrize("state", ["whole", "growing"])
def test_if_range(cache, request, state, condition):
    if state == "whole":
        url = request.getfixturevalue("whole")
    else:
        url, gate = request.getfixturevalue("half")
        cache.open(url).read(HALF)
    wire = cache.ask(url, "Range: bytes=5-9", f"If-Range: {condition}")
    answer = Stream(wire)
    assert answer.status == IF_RANGES[condition]
    if state == "growing":
        gate.set()
    assert answer.rest() == (BODY[5:10] if answer.status == 206 else BODY)


CONDITIONS = {
    'If-None-Match: "v1"': 304,
    'If-None-Match: W/"v1"': 304,
    'If-None-Match: "x", "v1"': 304,
    "If-None-Match: *": 304,
    'If-None-Match: "v2"': 200,
    f"If-Modified-Since: {MTIME_TEXT}": 304,
    "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT": 200,
    'If-Match: "v1"': 200,
    'If-Match: "v2"': 412,
    "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT": 412,
}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(cache, whole, condition, method):
    answer = cache.fetch(whole, condition, method=method)
    assert answer.status == CONDITIONS[condition]
    if answer.status == 304:
        assert answer.get("ETag") == '"v1"' and answer.body == b""
    elif answer.status == 200 and method == "GET":
        assert answer.body == BODY


def test_a_condition_on_what_grows(cache, half):
    url, _ = half
    cache.open(url).read(HALF)
    answer = cache.fetch(url, 'If-None-Match: "v1"')
    assert (answer.status, answer.get("ETag")) == (304, '"v1"')


def test_a_condition_is_not_passed_upstream(cache, origin):
    url = origin.add(Serve(BODY, etag='"v1"'))
    assert cache.fetch(url, 'If-None-Match: "v1"', "Range: bytes=1-2").status == 304
    cache.wait_idle()
    (request,) = origin.requests(url)
    assert not {"if-none-match", "range", "if-range"} & set(request.headers)
    assert cache.fetch(url).x_cache == "hit"


def test_range_of_a_head_request_is_ignored(cache, whole):
    answer = cache.fetch(whole, "Range: bytes=0-9", method="HEAD")
    assert (answer.status, answer.length) == (200, SIZE)
