"""HTTP/1.1 on the wire: what is refused, what is tolerated, and how a connection goes on."""

import http.client
import socket
import subprocess
import threading
import time

import pytest

from harness.client import HOST, assert_error, exchange_error, request_bytes
from harness.site import build_site, pattern

BIG = pattern(4 << 20)
FILES = {"index.html": "home", "a.txt": "0123456789", "b.txt": "b" * 5000, "big.bin": BIG}


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    return launch_module(build_site(tmp_path_factory.mktemp("http1") / "site", FILES))


def lines(*parts, end=b"\r\n"):
    return end.join(p.encode("latin-1") for p in parts) + end + end


GET = "GET /a.txt HTTP/1.1"
POST = "POST /a.txt HTTP/1.1"
H = "Host: x"

REFUSED = {
    "no host": lines(GET),
    "two hosts": lines(GET, H, "Host: y"),
    "two equal hosts": lines(GET, H, H),
    "host with path": lines(GET, "Host: x/y"),
    "host with user": lines(GET, "Host: u@x"),
    "host with space": lines(GET, "Host: x y"),
    "host list": lines(GET, "Host: x, y"),
    "host with bad port": lines(GET, "Host: x:port"),
    "host with big port": lines(GET, "Host: x:65536"),
    "host with open bracket": lines(GET, "Host: [::1"),
    "empty host name with port": lines(GET, "Host: :80"),
    "two lengths": lines(POST, H, "Content-Length: 3", "Content-Length: 4") + b"abcd",
    "length list": lines(POST, H, "Content-Length: 3, 4") + b"abcd",
    "length with plus": lines(POST, H, "Content-Length: +3") + b"abc",
    "negative length": lines(POST, H, "Content-Length: -3") + b"abc",
    "hex length": lines(POST, H, "Content-Length: 0x3") + b"abc",
    "length with a space inside": lines(POST, H, "Content-Length: 1 0") + b"a" * 10,
    "empty length": lines(POST, H, "Content-Length:"),
    "length with a tail": lines(POST, H, "Content-Length: 3abc") + b"abc",
    "length that overflows": lines(POST, H, "Content-Length: 99999999999999999999"),
    "length of 2^64+3": lines(POST, H, "Content-Length: 18446744073709551619") + b"abc",
    "length and coding": lines(POST, H, "Content-Length: 3", "Transfer-Encoding: chunked")
    + b"0\r\n\r\n",
    "coding and length": lines(POST, H, "Transfer-Encoding: chunked", "Content-Length: 3")
    + b"0\r\n\r\n",
    "coding twice": lines(POST, H, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
    + b"0\r\n\r\n",
    "chunked not last": lines(POST, H, "Transfer-Encoding: chunked, gzip"),
    "coding that is not quite chunked": lines(POST, H, "Transfer-Encoding: xchunked"),
    "chunked chunked": lines(POST, H, "Transfer-Encoding: chunked, chunked"),
    "coding with a control": lines(POST, H, "Transfer-Encoding: \x0bchunked"),
    "coding in 1.0": lines("POST /a.txt HTTP/1.0", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "space before colon": lines(GET, H, "X-A : 1"),
    "tab before colon": lines(GET, H, "X-A\t: 1"),
    "space before host colon": lines(GET, "Host : x"),
    "space before coding colon": lines(POST, H, "Transfer-Encoding : chunked"),
    "folded line": lines(GET, H, "X-A: 1", " 2"),
    "folded first line": lines(GET, " X-A: 1", H),
    "folded with tab": lines(GET, H, "X-A: 1", "\t2"),
    "no colon": lines(GET, H, "X-A"),
    "empty name": lines(GET, H, ": 1"),
    "name with a control": lines(GET, H, "X\x01A: 1"),
    "name with 8 bits": lines(GET, H, "X\xe9: 1"),
    "name with parentheses": lines(GET, H, "X(A): 1"),
    "value with NUL": lines(GET, H, "X-A: 1\x002"),
    "value with a control": lines(GET, H, "X-A: 1\x012"),
    "value with DEL": lines(GET, H, "X-A: \x7f"),
    "bare CR in a value": lines(GET, H, "X-A: 1\rX-B: 2"),
    "bare CR in the request line": b"GET /a.txt\r HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare CR at the end of a line": b"GET /a.txt HTTP/1.1\r\nHost: x\r\rX: y\r\n\r\n",
    "bare LF everywhere": lines(GET, H, end=b"\n"),
    "bare LF after the request line": b"GET /a.txt HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after a header": b"GET /a.txt HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n",
    "bare LF as the empty line": b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\n",
    "two spaces": lines("GET  /a.txt HTTP/1.1", H),
    "space at the end": lines("GET /a.txt HTTP/1.1 ", H),
    "tab instead of space": lines("GET\t/a.txt HTTP/1.1", H),
    "leading space": lines(" GET /a.txt HTTP/1.1", H),
    "no version": lines("GET /a.txt", H),
    "no target": lines("GET HTTP/1.1", H),
    "small http": lines("GET /a.txt http/1.1", H),
    "version with three digits": lines("GET /a.txt HTTP/1.10", H),
    "version without dot": lines("GET /a.txt HTTP/11", H),
    "version with letters": lines("GET /a.txt HTTP/1.x", H),
    "method with a bad character": lines("G@T /a.txt HTTP/1.1", H),
    "no method": lines("/a.txt HTTP/1.1", H),
    "TLS hello": bytes.fromhex("16030100a5010000a10303") + bytes(40),
    "NUL": b"\x00" * 16,
    "SOCKS": b"\x05\x01\x00",
    "plain text": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused(server, raw):
    exchange_error(server, raw, 400)


NOT_IMPLEMENTED = ["gzip", "gzip, chunked", "identity", "deflate", "unheard-of"]


@pytest.mark.parametrize("coding", NOT_IMPLEMENTED)
def test_unknown_codings(server, coding):
    raw = request_bytes("POST", "/a.txt", f"Transfer-Encoding: {coding}")
    with server.connect() as wire:
        wire.send(raw)
        response = wire.read_response()
        assert_error(response, 501, close=True)
        wire.assert_closed(5)


BAD_CHUNKS = {
    "no digits": b"\r\n\r\n",
    "not hex": b"xyz\r\n",
    "overflow": b"ffffffffffffffffff\r\n",
    "2^64": b"10000000000000000\r\nab",
    "negative": b"-1\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "leading space": b" 3\r\nabc\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "no CRLF after data": b"3\r\nabcX0\r\n\r\n",
    "data longer than said": b"3\r\nabcd\r\n0\r\n\r\n",
    "bare CR": b"3\rabc\r\n0\r\n\r\n",
    "extension with a bare LF": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"x" * 70000,
    "bad trailer": b"0\r\nno colon here\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks_never_start_another_request(server, body):
    """The answer may be the 405 that was due already; nothing behind the flaw is a request."""
    with server.connect() as wire:
        wire.request("/a.txt", "Transfer-Encoding: chunked", method="POST", body=body)
        try:
            wire.send(request_bytes("GET", "/smuggled"))
        except OSError:
            pass  # closed already
        first = wire.read_response("POST")
        assert first.status in (400, 405)
        if first.status == 405 and not first.says_close:
            assert_error(wire.read_response(), 400, close=True)
        wire.assert_closed(5)


GOOD_BODIES = {
    "length": ("Content-Length: 5", b"hello"),
    "zero length": ("Content-Length: 0", b""),
    "leading zeros": ("Content-Length: 0005", b"hello"),
    "chunked": ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    "capital coding": ("Transfer-Encoding: CHUNKED", b"5\r\nhello\r\n0\r\n\r\n"),
    "chunk extension": ("Transfer-Encoding: chunked", b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n'),
    "trailers": ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n"),
    "leading zeros in a size": ("Transfer-Encoding: chunked", b"0005\r\nhello\r\n000\r\n\r\n"),
    "many chunks": ("Transfer-Encoding: chunked", b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n"),
    "body like a request": (
        "Content-Length: 43",
        b"GET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    ),
}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("header,body", GOOD_BODIES.values(), ids=GOOD_BODIES.keys())
def test_unwanted_body_is_discarded(server, method, header, body):
    with server.connect() as wire:
        wire.send(
            request_bytes(method, "/a.txt", header, body=body) + request_bytes("GET", "/b.txt")
        )
        assert wire.read_response(method).status == (405 if method == "POST" else 200)
        assert wire.read_response().body == FILES["b.txt"].encode()
        assert wire.is_quiet()


def test_same_length_twice_is_harmless(server):
    with server.connect() as wire:
        headers = ["Content-Length: 3", "Content-Length: 3"]
        wire.request("/a.txt", *headers, method="POST", body=b"abc")
        assert wire.read_response().status in (400, 405)


def test_body_of_256_kib_keeps_the_connection(server):
    body = b"x" * (256 << 10)
    with server.connect() as wire:
        wire.request("/a.txt", f"Content-Length: {len(body)}", method="POST", body=body)
        assert_error(wire.read_response(), 405, close=False)
        assert wire.fetch("/a.txt").status == 200


def test_larger_body_is_answered_and_closed(server):
    """The client sends all of it before it reads: the answer must not be lost to a reset."""
    body = b"x" * (1 << 20)
    with server.connect() as wire:
        wire.request("/a.txt", f"Content-Length: {len(body)}", method="POST")
        try:
            wire.send(body)
        except OSError:
            pass
        response = wire.read_response()
        assert response.status in (405, 413)
        assert response.says_close
        assert response.body
        wire.assert_closed(5)


def test_larger_chunked_body_is_answered_and_closed(server):
    body = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with server.connect() as wire:
        wire.request("/a.txt", "Transfer-Encoding: chunked", method="POST")
        try:
            for _ in range(20):
                wire.send(body)
            wire.send(b"0\r\n\r\n" + request_bytes("GET", "/a.txt"))
        except OSError:
            pass
        assert wire.read_response().status in (405, 413)
        assert wire.read_to_end() == b""


def test_endless_body_ends(server):
    """Lingering reads are bounded too."""
    with server.connect() as wire:
        wire.request("/a.txt", "Content-Length: 1000000000000", method="POST")
        assert wire.read_response().says_close
        deadline = time.monotonic() + 45
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                wire.send(b"x" * 65536)
                time.sleep(0.002)  # the machine has other work


def test_pipelining(server):
    with server.connect() as wire:
        wire.send(
            request_bytes("GET", "/a.txt")
            + request_bytes("HEAD", "/b.txt")
            + request_bytes("GET", "/missing")
            + request_bytes("POST", "/", "Content-Length: 3", body=b"abc")
            + request_bytes("GET", "/big.bin")
            + request_bytes("GET", "/b.txt", "Connection: close")
            + request_bytes("GET", "/a.txt")
        )
        assert wire.read_response().text == FILES["a.txt"]
        assert wire.read_response("HEAD").length == 5000
        assert wire.read_response().status == 404
        assert wire.read_response().status == 405
        assert wire.read_response().body == BIG
        last = wire.read_response()
        assert last.text == FILES["b.txt"] and last.says_close
        wire.assert_closed(5)


def test_pipelining_a_thousand_deep(server):
    names = ["a.txt", "b.txt", "index.html", "missing"]
    raw = b"".join(request_bytes("GET", f"/{names[i % 4]}?{i}") for i in range(1000))
    with server.connect() as wire:
        sender = threading.Thread(target=wire.send, args=(raw,))
        sender.start()
        for i in range(1000):
            response = wire.read_response()
            if i % 4 == 3:
                assert response.status == 404
            else:
                assert response.text == FILES[names[i % 4]], i
        sender.join()
        assert wire.is_quiet()


def test_pipelined_big_files_in_order(server):
    raw = request_bytes("GET", "/big.bin", "Range: bytes=100-2000000") + request_bytes(
        "GET", "/a.txt"
    )
    with server.connect() as wire:
        wire.send(raw * 4)
        for _ in range(4):
            assert wire.read_response().body == BIG[100:2000001]
            assert wire.read_response().text == FILES["a.txt"]


def test_good_requests_before_a_bad_one_are_answered(server):
    with server.connect() as wire:
        wire.send(request_bytes("GET", "/a.txt") + request_bytes("GET", "/b.txt") + b"BAD\r\n\r\n")
        assert wire.read_response().text == FILES["a.txt"]
        assert wire.read_response().text == FILES["b.txt"]
        assert_error(wire.read_response(), 400, close=True)
        wire.assert_closed(5)


def test_byte_by_byte(server):
    raw = (
        request_bytes("GET", "/a.txt", "X-Some: thing")
        + request_bytes(
            "POST", "/a.txt", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nT: x\r\n\r\n"
        )
        + request_bytes("GET", "/b.txt")
    )
    with server.connect() as wire:
        for i in range(len(raw)):
            wire.send(raw[i : i + 1])
        assert wire.read_response().text == FILES["a.txt"]
        assert wire.read_response().status == 405
        assert wire.read_response().text == FILES["b.txt"]


def test_every_split_in_two(server):
    raw = request_bytes("GET", "/a.txt", "X-A: b")
    with server.connect() as wire:
        for cut in range(1, len(raw)):
            wire.send(raw[:cut])
            assert wire.is_quiet(0.001)
            wire.send(raw[cut:])
            assert wire.read_response().text == FILES["a.txt"], cut


@pytest.mark.parametrize("count", [1, 2])
def test_leading_empty_lines(server, count):
    with server.connect() as wire:
        for _ in range(3):
            wire.send(b"\r\n" * count + request_bytes("GET", "/a.txt"))
            assert wire.read_response().text == FILES["a.txt"]


def test_endless_empty_lines_are_refused(server):
    with server.connect() as wire:
        try:
            for _ in range(100):
                wire.send(b"\r\n" * 1000)
        except OSError:
            pass
        assert_error(wire.read_response(), 400, close=True)


def test_header_names_in_any_case(server):
    with server.connect() as wire:
        wire.send(
            b"GET /a.txt HTTP/1.1\r\nhOsT: x\r\nrAnGe:bytes=1-2\r\ncOnNeCtIoN:\tCLOSE \t\r\n\r\n"
        )
        response = wire.read_response()
        assert response.body == b"12" and response.says_close
        wire.assert_closed(5)


def test_high_bytes_in_values_are_tolerated(server):
    assert server.get("/a.txt", "X-A: \xe9\xff", "X-Empty:", "X-Tab: a\tb").status == 200


@pytest.mark.parametrize(
    "host", ["", "x", "x:80", "x:", "127.0.0.1:8080", "[::1]:80", "a_b.c", "xn--9d0b"]
)
def test_good_hosts(server, host):
    with server.connect() as wire:
        assert wire.fetch("/a.txt", host=host).status == 200


def test_connection_close(server):
    for value in ("close", "Close", "x, close", "keep-alive, close"):
        with server.connect() as wire:
            response = wire.fetch("/a.txt", f"Connection: {value}")
            assert response.says_close
            wire.assert_closed(5)


def test_keep_alive_by_default(server):
    with server.connect() as wire:
        for _ in range(50):
            assert not wire.fetch("/a.txt").says_close


def test_http_1_0(server):
    with server.connect() as wire:
        response = wire.fetch("/a.txt", version="1.0", host=None)
        assert response.text == FILES["a.txt"]
        assert response.length == 10
        wire.assert_closed(5)


def test_http_1_0_keep_alive(server):
    with server.connect() as wire:
        for _ in range(3):
            response = wire.fetch("/a.txt", "Connection: keep-alive", version="1.0")
            assert response.text == FILES["a.txt"]
            assert response.get("Connection").lower() == "keep-alive"
        assert wire.fetch("/a.txt", version="1.0").status == 200
        wire.assert_closed(5)


def test_http_1_0_gets_no_chunks_and_no_100(server):
    with server.connect() as wire:
        wire.request(
            "/a.txt",
            "Expect: 100-continue",
            "Content-Length: 3",
            method="POST",
            version="1.0",
            body=b"abc",
        )
        response = wire.read_response()
        assert response.status == 405
        assert response.get("Transfer-Encoding") is None


def test_http_0_9_is_refused(server):
    exchange_error(server, b"GET /a.txt\r\n", 400)


def test_expect_continue(server):
    """Whether told to go on or refused at once, the client is never left waiting."""
    with server.connect(timeout=3) as wire:
        wire.request("/a.txt", "Expect: 100-continue", "Content-Length: 3", method="POST")
        response = wire.read_response()
        if response.status == 100:
            wire.send(b"abc")
            response = wire.read_response()
        elif not response.says_close:
            wire.send(b"abc")
        assert response.status == 405
        if response.says_close:
            wire.assert_closed(5)
        else:
            assert wire.fetch("/a.txt").text == FILES["a.txt"]


def test_expect_continue_on_a_get_with_its_body_following(server):
    with server.connect(timeout=3) as wire:
        wire.request("/a.txt", "Expect: 100-Continue", "Content-Length: 3", body=b"abc")
        response = wire.read_response()
        if response.status == 100:
            response = wire.read_response()
        assert response.text == FILES["a.txt"]


def test_expect_without_a_body(server):
    with server.connect(timeout=3) as wire:
        response = wire.fetch("/a.txt", "Expect: 100-continue")
        while response.status == 100:
            response = wire.read_response()
        assert response.text == FILES["a.txt"]


def test_half_closed_client_gets_its_answer(server):
    with server.connect() as wire:
        wire.request("/big.bin")
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.read_response().body == BIG
        wire.assert_closed(5)


def test_half_closed_in_the_middle_of_a_head(server):
    with server.connect() as wire:
        wire.send(b"GET /a.txt HTTP/1.1\r\nHos")
        wire.socket.shutdown(socket.SHUT_WR)
        rest = wire.read_to_end()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")


def test_clients_that_reset_do_no_harm(server):
    for _ in range(30):
        wire = server.connect()
        wire.request("/big.bin")
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        wire.close()
    assert server.get("/a.txt").status == 200


def test_error_is_readable_while_the_client_still_sends(server):
    """A refused head in front of much data: the answer arrives, not a reset."""
    with server.connect() as wire:
        try:
            wire.send(b"BAD LINE\r\n\r\n" + b"x" * 200_000)
        except OSError:
            pass
        assert_error(wire.read_response(), 400, close=True)


def test_no_answer_before_the_head_is_complete(server):
    with server.connect() as wire:
        wire.send(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n")
        assert wire.is_quiet(0.2)
        wire.send(b"\r\n")
        assert wire.read_response().status == 200


def test_date_moves_on(server):
    with server.connect() as wire:
        first = wire.fetch("/a.txt").get("Date")
        deadline = time.monotonic() + 5
        while wire.fetch("/a.txt").get("Date") == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_stray_crlf_after_a_body(server):
    """Old clients send one after a POST; it counts as a leading empty line."""
    with server.connect() as wire:
        wire.request("/a.txt", "Content-Length: 3", method="POST", body=b"abc\r\n")
        assert wire.read_response().status == 405
        assert wire.fetch("/a.txt").status == 200


def test_python_http_client(server):
    connection = http.client.HTTPConnection(*server.main.address, timeout=10)
    for _ in range(3):
        connection.request("GET", "/b.txt")
        response = connection.getresponse()
        assert response.read() == FILES["b.txt"].encode()
        connection.request("POST", "/b.txt", body=b"x" * 1000)
        response = connection.getresponse()
        assert response.status == 405 and response.read()
    connection.close()


def curl(*args):
    return subprocess.run(
        ["curl", "-sS", "-m", "20", *args], capture_output=True, check=True
    ).stdout


def test_curl_reuses_one_connection(server):
    out = curl(
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
        "-w",
        "%{num_connects} %{http_code}\n",
        server.url("/a.txt"),
        server.url("/missing"),
        server.url("/b.txt"),
    )
    assert out.split(b"\n")[:3] == [b"1 200", b"0 404", b"0 200"]


@pytest.mark.parametrize("size", [10, 200_000, 3_000_000])
def test_curl_uploads_are_refused_politely(server, tmp_path, size):
    upload = tmp_path / "upload"
    upload.write_bytes(b"u" * size)
    out = curl(
        "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{upload}", server.url("/a.txt")
    )
    assert out in (b"405", b"413")


def test_curl_old_protocol(server):
    assert curl("-0", server.url("/a.txt")) == b"0123456789"
    assert curl("-H", f"Host: {HOST}", server.url("/big.bin")) == BIG
