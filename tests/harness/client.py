"""A raw HTTP/1 client: sends the bytes it is told, reads answers strictly.

Every final answer is checked for what the spec promises on all of them (Date, nosniff, sound
framing), so no test has to ask for that.
"""

import email.utils
import re
import select
import socket
import time

STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9]) ([ -~]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
IMF_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
HOST = "site.test"


class Response:
    """A decoded answer. `headers` keeps order and spelling."""

    def __init__(self, head):
        status_line, *lines = head.split(b"\r\n")
        match = STATUS_LINE.fullmatch(status_line)
        assert match, f"bad status line {status_line!r}"
        self.head = head
        self.version = match.group(1).decode()
        self.status = int(match.group(2))
        self.reason = match.group(3).decode()
        self.headers = []
        for line in lines:
            field = FIELD_LINE.fullmatch(line)
            assert field, f"bad header line {line!r}"
            self.headers.append((field.group(1).decode(), field.group(2).decode("latin-1")))
        self.body = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} repeated: {values}"
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def length(self):
        value = self.get("Content-Length")
        return None if value is None else int(value)

    @property
    def says_close(self):
        return (self.get("Connection") or "").lower() == "close"

    def stable_headers(self):
        """All headers but those of the moment."""
        return [(k, v) for k, v in self.headers if k.lower() not in ("date", "connection")]

    def check_common(self):
        date = self.get("Date")
        assert date and IMF_DATE.fullmatch(date), f"Date is {date!r} in {self.head!r}"
        distance = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
        assert -30 < distance < 3, f"Date is {distance} s away"
        assert self.get("X-Content-Type-Options") == "nosniff", self.head
        assert not (self.all("Content-Length") and self.all("Transfer-Encoding")), self.head
        if self.status == 204:
            assert not self.all("Content-Length"), self.head

    def __repr__(self):
        return f"<{self.head!r} + {len(self.body)} bytes {self.body[:60]!r}>"


def request_bytes(method, target, *headers, version="1.1", host=HOST, body=b""):
    """A request as bytes; headers are "Name: value" strings; `host` None leaves Host out."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines.extend(headers)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Wire:
    """One connection."""

    def __init__(self, address, timeout=10.0, receive_buffer=None, source=None):
        family = (
            socket.AF_UNIX
            if isinstance(address, str)
            else (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        )
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, target, *headers, method="GET", **options):
        self.send(request_bytes(method, target, *headers, **options))

    def fetch(self, target, *headers, method="GET", **options):
        self.request(target, *headers, method=method, **options)
        return self.read_response(method)

    def _fill(self):
        data = self.socket.recv(262144)
        self.buffer += data
        return bool(data)

    def _take(self, count):
        while len(self.buffer) < count:
            assert self._fill(), f"closed after {len(self.buffer)} of {count} bytes"
        return self._cut(count)

    def _cut(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _take_line(self):
        while b"\r\n" not in self.buffer:
            assert self._fill(), f"closed inside a line: {bytes(self.buffer)!r}"
        line = self._cut(self.buffer.index(b"\r\n"))
        self._cut(2)
        return line

    def read_head(self):
        """The next head, without its content. 1xx answers count."""
        while b"\r\n\r\n" not in self.buffer:
            assert self._fill(), f"closed before a whole head came: {bytes(self.buffer)!r}"
        head = self._cut(self.buffer.index(b"\r\n\r\n"))
        self._cut(4)
        response = Response(head)
        if response.status >= 200:
            response.check_common()
        return response

    def read_response(self, method="GET"):
        response = self.read_head()
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return response
        if response.get("Transfer-Encoding"):
            assert response.get("Transfer-Encoding").lower() == "chunked"
            response.body = self._read_chunks()
        elif response.length is not None:
            response.body = self._take(response.length)
        else:
            assert response.says_close, f"neither length nor close: {response.head!r}"
            response.body = self.read_to_end()
        return response

    def _read_chunks(self):
        body = b""
        while True:
            size = int(self._take_line().split(b";")[0], 16)
            if size == 0:
                while self._take_line():
                    pass
                return body
            body += self._take(size)
            assert self._take(2) == b"\r\n"

    def read_some(self, count):
        """At least one and at most `count` body bytes; empty at the end of the stream."""
        if self.buffer:
            return self._cut(min(count, len(self.buffer)))
        return self.socket.recv(count)

    def read_to_end(self):
        while self._fill():
            pass
        return self._cut(len(self.buffer))

    def assert_closed(self, timeout=None):
        """The peer closes in an orderly way, and writes nothing more before."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        rest = self.read_to_end()
        assert rest == b"", f"unexpected bytes before the close: {rest[:200]!r}"

    def is_quiet(self, seconds=0.0):
        """Still open, and nothing to read within `seconds`."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


def assert_error(response, status, close=None):
    """An error answer as the spec wants it: short plain text, never cacheable."""
    assert response.status == status, response
    assert response.get("Content-Type").startswith("text/plain"), response.head
    assert 0 < len(response.body) <= 300, response
    response.body.decode("utf-8")
    assert "max-age" not in (response.get("Cache-Control") or ""), response.head
    if close is not None:
        assert response.says_close == close, response.head


def exchange_error(server, raw, status):
    """Sends bytes that must be refused: one error answer, then an orderly close."""
    with server.connect() as wire:
        wire.send(raw)
        response = wire.read_response()
        assert_error(response, status, close=True)
        wire.assert_closed(5)
    return response
