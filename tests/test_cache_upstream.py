"""`tarn cache` and origins that misbehave: the right bytes, an error, or a transfer that breaks;
never a clean end of wrong bytes, and nothing wrong is kept."""

import base64
import gzip
import hashlib
import itertools
import subprocess
import threading

import pytest

from harness.cache import Stream, each, target, usage
from harness.origin import Raw, Serve
from harness.server import wait_until
from harness.site import pattern

BODY = pattern(100_000, seed=11)
OK = b"HTTP/1.1 200 OK\r\n"
HALF = 50_000


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module(
        *("--download-retry-time", "0", "--negative-ttl", "0", "--first-byte-timeout", "500ms"),
        *("--read-timeout", "500ms"),
    )


@pytest.fixture
def empty(cache):
    """Checks at the end that nothing of what failed was kept."""
    before = usage(cache.folder)
    yield
    cache.wait_idle()
    cache.wait_figure("disk_usage", before)


def assert_asked_anew(cache, origin, url):
    """The failure itself may be remembered for a moment."""
    asked = origin.count(url)
    origin.change(url, Serve(b""))
    wait_until(lambda: cache.receive(url) == (200, b"", True), 10, "another attempt")
    assert origin.count(url) == asked + 1


REFUSED = {
    "closes at once": Raw(),
    "resets at once": Raw(then="reset"),
    "cut in the head": Raw(OK + b"Content-Length: 5\r\nX-Y"),
    "cut before the empty line": Raw(OK + b"Content-Length: 5\r\n"),
    "garbage": Raw(b"\x16\x03\x03\x00\x05hello\r\n\r\n"),
    "another protocol": Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "http/0.9": Raw(b"just the content"),
    "huge head": Raw(OK + b"X: " + b"y" * 300_000 + b"\r\n\r\n"),
    "many fields": Raw(OK + b"X: y\r\n" * 5000 + b"Content-Length: 2\r\n\r\nok"),
    "http/2 preface": Raw(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status of two digits": Raw(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status 999": Raw(b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status 101": Raw(b"HTTP/1.1 101 OK\r\nUpgrade: x\r\n\r\nok"),
    "interim ones for ever": Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000),
    "two lengths": Raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
    "two lengths in one": Raw(OK + b"Content-Length: 2, 3\r\n\r\nokk"),
    "length below zero": Raw(OK + b"Content-Length: -2\r\n\r\nok"),
    "length in words": Raw(OK + b"Content-Length: two\r\n\r\nok"),
    "length in hex": Raw(OK + b"Content-Length: 0x2\r\n\r\nok"),
    "length over 64 bits": Raw(OK + b"Content-Length: 99999999999999999999\r\n\r\nok"),
    "unknown coding": Raw(OK + b"Transfer-Encoding: gzip\r\n\r\nok"),
    "coded twice": Raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "space before the colon": Raw(OK + b"Content-Length : 2\r\n\r\nok"),
    "nul in a field": Raw(OK + b"X: \0\r\nContent-Length: 2\r\n\r\nok"),
    "206 unasked": Serve(BODY, 206, {"Content-Range": "bytes 0-99999/200000"}),
    "304 unasked": Raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "204": Raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "503": Serve(b"later", 503),
}


def test_answers_that_cannot_be_used(cache, origin, empty):
    def check(case):
        url = origin.add(REFUSED[case])
        status, _, whole = cache.receive(url)
        assert status == (503 if case == "503" else 502) and whole
        assert_asked_anew(cache, origin, url)

    each(REFUSED, check)


CUT = {
    "too short": Serve(BODY, declared=len(BODY) + 10),
    "cut": Serve(BODY, cut=HALF),
    "reset": Serve(BODY, cut=HALF, reset=True),
    "cut with a weak tag": Serve(BODY, cut=HALF, etag='W/"1"'),
    "cut chunks": Serve(BODY, cut=HALF, framing="chunked"),
    "reset chunks": Serve(BODY, cut=HALF, framing="chunked", reset=True),
    "no last chunk": Serve(BODY + b"x", cut=len(BODY), framing="chunked"),
    "reset without length": Serve(BODY, cut=HALF, framing="close", reset=True),
    "a bad size of a chunk": Raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\n" + BODY[:4] + b"\r\nxyz\r\n"
    ),
    "a chunk longer than it says": Raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\n" + BODY[:9] + b"\r\n0\r\n\r\n"
    ),
    "a chunk without end": Raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + BODY
    ),
    "stands still": Serve(BODY, gates={HALF: threading.Event()}),
    "stands still in chunks": Serve(BODY, gates={HALF: threading.Event()}, framing="chunked"),
}  # fmt: skip


def test_content_that_breaks_off(cache, origin, empty):
    def check(case):
        url = origin.add(CUT[case])
        status, data, whole = cache.receive(url)
        assert BODY.startswith(data) if status == 200 else status in (None, 502, 504)
        assert status != 200 or not whole, f"a clean end after {len(data)} bytes"
        assert_asked_anew(cache, origin, url)

    each(CUT, check)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_curl_sees_the_break(cache, origin, framing):
    """The exit code is what scripts look at."""
    gate = threading.Event()
    url = origin.add(Serve(BODY, cut=HALF, framing=framing, gates={1000: gate}))
    command = ["curl", "--silent", "--no-buffer", cache.url(target(url))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        data = curl.stdout.read(1000)
        gate.set()
        data += curl.stdout.read()
    assert BODY.startswith(data)
    assert curl.returncode in (18, 56), curl.returncode


def test_more_than_it_said(cache, origin):
    """What comes after the end is no part of it, and no answer to anybody else."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
    url = origin.add(lambda exchange: exchange.raw(OK + b"Content-Length: 2\r\n\r\nok" + answer))
    assert cache.receive(url) == (200, b"ok", True)
    for _ in range(3):
        assert cache.fetch(origin.add(Serve(b"other"))).body == b"other"


GOOD = {
    "interim ones": Raw(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK + b"Content-Length: 2\r\n\r\nok"
    ),
    "http/1.0": Raw(b"HTTP/1.0 200 OK\r\n\r\nok"),
    "no reason": Raw(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    "trailers": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n"),
    "byte by byte": lambda exchange: [
        exchange.raw(bytes([byte])) for byte in OK + b"Content-Length: 2\r\n\r\nok"
    ],
    "the same length twice": Raw(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    "resets behind the end": Raw(OK + b"Content-Length: 2\r\n\r\nok", then="reset"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_unusual_but_right(cache, origin, case):
    url = origin.add(GOOD[case])
    stream = cache.open(url)
    if case in ("the same length twice", "no reason") and stream.status == 502:
        return
    assert (stream.status, stream.rest()) == (200, b"ok")
    cache.wait_idle()
    assert cache.fetch(url).body == b"ok"


def test_both_kinds_of_framing(cache, origin):
    """Chunks are what counts (RFC 9112 section 6.3), or nothing is; the length never."""
    both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    status, data, whole = cache.receive(origin.add(Raw(OK + both)))
    assert whole and (status == 502 or data == b"ok")


def test_gzip_that_nobody_asked_for(cache, origin, tmp_path):
    """Kept as it came and said to be what it is."""
    packed = gzip.compress(BODY)
    url = origin.add(Serve(packed, headers={"Content-Encoding": "gzip"}))
    for _ in range(2):
        answer = cache.fetch(url)
        assert (answer.get("Content-Encoding"), answer.body) == ("gzip", packed)
        cache.wait_idle()
    out = tmp_path / "out"
    subprocess.run(
        ["curl", "-sf", "--compressed", "-o", out, cache.url(target(url))], check=True, timeout=20
    )
    assert out.read_bytes() == BODY


def digest_headers(data):
    sha256, sha512 = hashlib.sha256(data).digest(), hashlib.sha512(data).digest()
    text = {
        name: base64.b64encode(value).decode()
        for name, value in (
            ("md5", hashlib.md5(data).digest()), ("256", sha256), ("512", sha512),
        )
    }  # fmt: skip
    return {
        "Repr-Digest: sha-256": {"Repr-Digest": f"sha-256=:{text['256']}:"},
        "Repr-Digest: sha-512": {"Repr-Digest": f"sha-512=:{text['512']}:"},
        "Content-MD5": {"Content-MD5": text["md5"]},
        "x-amz-checksum-sha256": {"x-amz-checksum-sha256": text["256"]},
    }


DIGESTS = list(itertools.product(digest_headers(b""), ["length", "chunked", "close"]))


@pytest.mark.parametrize("kind,framing", DIGESTS)
def test_right_digests(cache, origin, kind, framing):
    url = origin.add(Serve(BODY, headers=digest_headers(BODY)[kind], framing=framing))
    assert cache.receive(url) == (200, BODY, True)


def test_wrong_digests(cache, origin, empty):
    def check(case):
        kind, framing = case
        url = origin.add(Serve(BODY, headers=digest_headers(BODY + b"!")[kind], framing=framing))
        status, data, whole = cache.receive(url)
        assert status == 502 or (not whole and BODY.startswith(data))
        assert_asked_anew(cache, origin, url)

    each(DIGESTS, check)


def test_digests_that_say_nothing(cache, origin):
    headers = {
        "Repr-Digest": "unixsum=:AAA=:, sha-256=garbage",
        "Content-MD5": "short",
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"parts").digest()).decode()
        + "-7",
    }
    assert cache.receive(origin.add(Serve(BODY, headers=headers))) == (200, BODY, True)


def test_the_digest_that_is_asked_for(cache, origin):
    url = origin.add(Serve(BODY))
    right, wrong = hashlib.sha256(BODY).hexdigest(), hashlib.sha256(b"").hexdigest()
    before = usage(cache.folder)
    answer = cache.fetch(url, sha256=wrong)
    assert answer.status == 502 and BODY[:100] not in answer.body
    cache.wait_account()
    assert usage(cache.folder) == before
    good = origin.add(Serve(BODY))
    for spelling in (right, right.upper(), right):
        assert cache.fetch(good, sha256=spelling).body == BODY
        cache.wait_idle()
    assert origin.count(good) == 1
    assert cache.fetch(good, sha256=wrong).status == 502
    assert cache.fetch(good).body == BODY


def test_the_digest_asked_for_by_one_of_two(cache, origin):
    """A wrong one is that client's affair."""
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={HALF: gate}))
    reader = cache.open(url)
    reader.read(HALF)
    wire = cache.ask(url, sha256="0" * 64)
    gate.set()
    assert reader.rest() == BODY[HALF:]
    assert Stream(wire).status == 502
    cache.wait_idle()
    assert cache.fetch(url).body == BODY


def test_never_answering(cache, origin):
    url = origin.add(Raw(then="silence"))
    assert cache.receive(url)[0] == 504


def test_all_who_wait_get_the_error(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(b"", 404, head_gate=gate))
    before = cache.figures()["statistics_requests"]
    wires = [cache.ask(url) for _ in range(20)]
    cache.wait_figure("statistics_requests", before + 20)
    gate.set()
    assert {Stream(wire).status for wire in wires} == {404}
    assert origin.count(url) == 1


def test_all_who_read_see_the_break(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(BODY, cut=HALF, gates={1000: gate}))
    streams = [cache.open(url) for _ in range(20)]
    for stream in streams:
        assert stream.read(1000) == BODY[:1000]
    gate.set()
    for stream in streams:
        assert BODY[1000:HALF].startswith(stream.until_broken())


def test_fields_of_upstream_that_do_harm_stay_there(cache, origin):
    headers = {
        "Content-Type": "text/html",
        "Strict-Transport-Security": "max-age=1",
        "Set-Cookie": "a=b",
        "Age": "500",
        "X-Cache": "hit from another",
        "Content-Disposition": "attachment; filename=evil",
        "Server": "evil",
        "Alt-Svc": 'h3=":1"',
        "Location": "http://evil/",
        "Content-Location": "/evil",
    }
    answer = cache.fetch(origin.add(Serve(b"x", headers=headers)))
    assert answer.get("Content-Type") == "text/html"
    for name in ("Strict-Transport-Security", "Set-Cookie", "Content-Disposition", "Location"):
        assert answer.get(name) is None, name
    assert (answer.x_cache, answer.age) == ("miss", 0)


def test_a_content_type_too_long_is_left_out(cache, origin):
    url = origin.add(Serve(b"x", headers={"Content-Type": "text/" + "x" * 10_000}, etag='"1"'))
    answer = cache.fetch(url)
    assert (answer.status, answer.body) == (200, b"x")
    assert len(answer.head) < 5000
