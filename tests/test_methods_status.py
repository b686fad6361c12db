"""Methods, and every status that a static site can give, each provoked in its own way.

411, 413 and 421 belong to uploads, scripts and TLS: serving files has no case for them.
"""

import json

import pytest

from harness.client import assert_error, exchange_error, request_bytes
from harness.server import wait_until
from harness.site import build_site, pattern

FILES = {
    "index.html": "home\n",
    "a.txt": "0123456789",
    "dir/index.html": "dir\n",
    "big": pattern(2 << 20),
}
OTHER_METHODS = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "BREW", "get", "X-odd!"]


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    return launch_module(build_site(tmp_path_factory.mktemp("status") / "site", FILES))


@pytest.mark.parametrize("target", ["/", "/a.txt", "/big", "/dir", "/missing", "/health", "/ready"])
def test_head_is_get_without_content(server, target):
    with server.connect() as wire:
        get = wire.fetch(target)
        head = wire.fetch(target, method="HEAD")
        assert (head.status, head.reason) == (get.status, get.reason)
        assert head.body == b""
        assert head.stable_headers() == get.stable_headers()
        assert wire.fetch("/a.txt").text == "0123456789"  # nothing stray on the wire


@pytest.mark.parametrize(
    "headers", [["Range: bytes=2-4"], ["Range: bytes=90-"], ["If-None-Match: *"]]
)
def test_head_with_conditions(server, headers):
    with server.connect() as wire:
        get = wire.fetch("/a.txt", *headers)
        head = wire.fetch("/a.txt", *headers, method="HEAD")
        # RFC 9110 section 14.2 gives Range a meaning for GET only; like nginx, a server may
        # still answer what GET would.
        assert head.status in ((get.status, 200) if "Range" in headers[0] else (get.status,))
        assert wire.fetch("/a.txt").text == "0123456789"


@pytest.mark.parametrize("target", ["/", "/a.txt", "*"])
def test_options(server, target):
    with server.connect() as wire:
        response = wire.fetch(target, method="OPTIONS")
        assert response.status in (200, 204)
        assert response.body == b""
        allowed = {m.strip() for m in response.get("Allow").split(",")}
        assert allowed == {"GET", "HEAD", "OPTIONS"}
        assert wire.fetch("/a.txt").text == "0123456789"


@pytest.mark.parametrize("method", OTHER_METHODS)
@pytest.mark.parametrize("target", ["/", "/a.txt", "/dir/"])
def test_other_methods_are_405(server, method, target):
    with server.connect() as wire:
        response = wire.fetch(target, method=method)
        assert_error(response, 405, close=False)
        assert {m.strip() for m in response.get("Allow").split(",")} == {"GET", "HEAD", "OPTIONS"}
        assert wire.fetch("/a.txt").text == "0123456789"


def test_post_with_a_body_is_405_and_goes_on(server):
    with server.connect() as wire:
        wire.request("/a.txt", "Content-Length: 11", method="POST", body=b"hello=world")
        assert_error(wire.read_response("POST"), 405, close=False)
        assert wire.fetch("/a.txt").text == "0123456789"


def test_200(server):
    response = server.get("/a.txt")
    assert (response.status, response.reason) == (200, "OK")
    assert response.version == "1.1"
    assert response.length == 10
    assert response.get("Accept-Ranges") == "bytes"


def test_206(server):
    response = server.get("/a.txt", "Range: bytes=2-4")
    assert (response.status, response.reason) == (206, "Partial Content")


def test_304(server):
    etag = server.get("/a.txt").get("ETag")
    response = server.get("/a.txt", f"If-None-Match: {etag}")
    assert (response.status, response.reason) == (304, "Not Modified")


def test_308(server):
    response = server.get("/dir")
    assert (response.status, response.reason) == (308, "Permanent Redirect")


def test_400(server):
    exchange_error(server, b"GET / HTTP/1.1\r\n\r\n", 400)


def test_404(server):
    response = server.get("/nope")
    assert_error(response, 404)
    assert response.reason == "Not Found"


def test_406_or_plain_when_no_coding_is_acceptable(server):
    """RFC 9110 section 12.5.3 leaves the choice; both must be well-formed."""
    response = server.get("/a.txt", "Accept-Encoding: identity;q=0")
    assert response.status in (200, 406)
    if response.status == 200:
        assert response.text == "0123456789"
        assert response.get("Content-Encoding") is None


def test_408(launch, site):
    server = launch(site({"index.html": "home"}), "--header-timeout", "300ms")
    response = exchange_error(server, b"GET / HTTP/1.1\r\nHost: x\r\n", 408)
    assert response.reason == "Request Timeout"


def test_412(server):
    response = server.get("/a.txt", 'If-Match: "other"')
    assert (response.status, response.reason) == (412, "Precondition Failed")


def test_414(server):
    exchange_error(server, request_bytes("GET", "/" + "x" * 70000), 414)


def test_416(server):
    response = server.get("/a.txt", "Range: bytes=10-")
    assert response.status == 416
    assert response.get("Content-Range") == "bytes */10"


def test_417(server):
    exchange_error(server, request_bytes("GET", "/", "Expect: the-unexpected"), 417)


def test_431(server):
    raw = request_bytes("GET", "/", "X-Long: " + "x" * 70000)
    assert exchange_error(server, raw, 431).reason == "Request Header Fields Too Large"


def test_500_when_content_changed_behind_the_server(launch, site):
    """A big file is read when asked for; bytes that no longer match the ETag are not sent."""
    folder = site(FILES)
    server = launch(folder, "--preload-max", "1K")
    assert server.get("/big").body == FILES["big"]
    with open(folder / "big", "r+b") as big:
        big.truncate(1000)
    with server.connect() as wire:
        response = wire.fetch("/big")
        assert_error(response, 500)
        assert server.get("/a.txt").text == "0123456789"


def test_501(server):
    exchange_error(server, request_bytes("POST", "/", "Transfer-Encoding: gzip"), 501)


def test_503(launch, site):
    server = launch(site(FILES), "--shutdown-delay", "1s")
    wire = server.connect()
    assert wire.fetch("/ready").status == 200
    server.send(15)
    wait_until(lambda: server.get("/ready").status == 503, what="503 while draining")
    assert json.loads(server.get("/ready").body)["status"] == "draining"
    assert server.wait_exit() == 0


@pytest.mark.parametrize("version", ["2.0", "3.0", "9.9", "0.9"])
def test_505(server, version):
    raw = request_bytes("GET", "/", version=version)
    response = exchange_error(server, raw, 505)
    assert response.reason == "HTTP Version Not Supported"


def test_later_minor_versions_are_1_1(server):
    """RFC 9110 section 2.5: the major version decides."""
    with server.connect() as wire:
        assert wire.fetch("/a.txt", version="1.9").version == "1.1"
        assert wire.fetch("/a.txt").status == 200


def test_error_pages_reflect_nothing(server):
    response = server.get("/%3Cscript%3Ealert(1)%3C/script%3E-reflected")
    assert response.status == 404
    assert b"<script>" not in response.body


def test_redirects_and_errors_are_small_and_typed(server):
    response = server.get("/dir")
    assert len(response.body) <= 300
    if response.body:
        assert response.get("Content-Type").startswith("text/")
