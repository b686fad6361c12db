"""Preconditions (RFC 9110 section 13) on files in memory and on files read by range."""

import pytest

from harness.site import MTIME_TEXT, build_site, pattern

EARLIER = "Mon, 01 Jan 2024 00:00:00 GMT"
LATER = "Wed, 03 Jan 2024 00:00:00 GMT"
RFC850 = "Tuesday, 02-Jan-24 03:04:05 GMT"
ASCTIME = "Tue Jan  2 03:04:05 2024"


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    files = {"index.html": "home", "small.txt": "0123456789", "big.bin": pattern(3 << 20)}
    return launch_module(build_site(tmp_path_factory.mktemp("cond") / "site", files))


@pytest.fixture(params=["/small.txt", "/big.bin"], ids=["memory", "range"])
def target(request):
    return request.param


@pytest.fixture
def etag(server, target):
    return server.get(target, method="HEAD").get("ETag")


def status(server, target, *headers, method="GET"):
    with server.connect() as wire:
        response = wire.fetch(target, *headers, method=method)
        if response.status in (304, 412):
            assert wire.fetch("/small.txt").status == 200
        return response.status


def test_validators(server, target):
    first, second = server.get(target), server.get(target)
    assert first.get("Last-Modified") == MTIME_TEXT
    tag = first.get("ETag")
    assert len(tag) == 34 and tag[0] == tag[-1] == '"' and int(tag[1:-1], 16) >= 0
    assert second.get("ETag") == tag


def test_etag_depends_on_content_only(launch, tmp_path):
    first = launch(build_site(tmp_path / "1", {"a.txt": "same", "b.txt": "other"}))
    second = launch(build_site(tmp_path / "2", {"z/c.html": "same", "b.txt": "Other"}))
    assert first.get("/a.txt").get("ETag") == second.get("/z/c.html").get("ETag")
    assert first.get("/b.txt").get("ETag") != second.get("/b.txt").get("ETag")


# {etag} is the file's own tag.
NONE_MATCH = [
    ("{etag}", 304),
    ("W/{etag}", 304),  # If-None-Match compares weakly
    ("*", 304),
    ('"x", {etag}', 304),
    ('"x",{etag},"y"', 304),
    ('  "x" ,  W/{etag}  ', 304),
    (", ,{etag}", 304),
    ('"x"', 200),
    ('"x", "y"', 200),
    ("{bare}", 200),  # without quotes it is no entity tag
    ('"with,comma", {etag}', 304),
    ("", 200),
]


@pytest.mark.parametrize("value,expected", NONE_MATCH)
def test_if_none_match(server, target, etag, value, expected):
    header = "If-None-Match: " + value.format(etag=etag, bare=etag.strip('"'))
    assert status(server, target, header) == expected
    assert status(server, target, header, method="HEAD") == expected


def test_if_none_match_over_several_lines(server, target, etag):
    assert status(server, target, 'If-None-Match: "x"', f"If-None-Match: {etag}") == 304


MATCH = [
    ("{etag}", 200),
    ("*", 200),
    ('"x", {etag}', 200),
    ("W/{etag}", 412),  # If-Match compares strongly
    ('"x"', 412),
]


@pytest.mark.parametrize("value,expected", MATCH)
def test_if_match(server, target, etag, value, expected):
    assert status(server, target, "If-Match: " + value.format(etag=etag)) == expected


MODIFIED_SINCE = [
    (MTIME_TEXT, 304),
    (RFC850, 304),
    (ASCTIME, 304),
    (LATER, 304),
    (EARLIER, 200),
    ("Tue, 02 Jan 2024 03:04:04 GMT", 200),
    ("not a date", 200),
    ("", 200),
    ("Tue, 32 Jan 2024 03:04:05 GMT", 200),
    ("Tue, 02 Jan 2024 03:04:05 +0100", 200),
    ("1704164645", 200),
]


@pytest.mark.parametrize("value,expected", MODIFIED_SINCE)
def test_if_modified_since(server, target, value, expected):
    assert status(server, target, f"If-Modified-Since: {value}") == expected


UNMODIFIED_SINCE = [
    (MTIME_TEXT, 200),
    (LATER, 200),
    (EARLIER, 412),
    (RFC850, 200),
    ("Monday, 01-Jan-24 00:00:00 GMT", 412),
    ("Mon Jan  1 00:00:00 2024", 412),
    ("no date", 200),
]


@pytest.mark.parametrize("value,expected", UNMODIFIED_SINCE)
def test_if_unmodified_since(server, target, value, expected):
    assert status(server, target, f"If-Unmodified-Since: {value}") == expected


# RFC 9110 section 13.2.2: the order of evaluation.
COMBINED = [
    (["If-None-Match: {etag}", f"If-Modified-Since: {EARLIER}"], 304),
    (['If-None-Match: "x"', f"If-Modified-Since: {LATER}"], 200),
    (["If-Match: {etag}", f"If-Unmodified-Since: {EARLIER}"], 200),
    (['If-Match: "x"', f"If-Unmodified-Since: {LATER}"], 412),
    (["If-Match: {etag}", "If-None-Match: {etag}"], 304),
    (['If-Match: "x"', "If-None-Match: {etag}"], 412),
    ([f"If-Unmodified-Since: {EARLIER}", "If-None-Match: {etag}"], 412),
    (["If-None-Match: {etag}", "Range: bytes=0-1"], 304),
    (['If-Match: "x"', "Range: bytes=0-1"], 412),
    (["If-Match: {etag}", "Range: bytes=0-1"], 206),
]


@pytest.mark.parametrize("headers,expected", COMBINED, ids=str)
def test_order(server, target, etag, headers, expected):
    assert status(server, target, *(h.format(etag=etag) for h in headers)) == expected


def test_304_carries_the_fields_of_the_200(server, target, etag):
    full = server.get(target)
    response = server.get(target, f"If-None-Match: {etag}")
    assert response.status == 304
    for name in ("ETag", "Cache-Control", "Vary", "Last-Modified"):
        assert response.get(name) == full.get(name), name
    assert response.get("Content-Type") is None
    assert response.body == b""


def test_preconditions_mean_nothing_for_missing_files(server):
    with server.connect() as wire:
        assert wire.fetch("/missing", "If-None-Match: *").status == 404
        assert wire.fetch("/missing", f"If-Modified-Since: {LATER}").status == 404
        assert wire.fetch("/missing", "If-Match: *").status in (404, 412)


def test_many_etags(server, target, etag):
    tags = ", ".join(f'"{i}"' for i in range(1000))
    assert status(server, target, f"If-None-Match: {tags}, {etag}") == 304
    assert status(server, target, f"If-None-Match: {tags}") == 200
