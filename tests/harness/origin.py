"""An upstream that does what a test tells it to, also what none should.

A path has steps: the first request for it gets the first, the second the second, the last one stays
for all after that. A step is a `Serve` (a resource, sound or not), a `Raw` (bytes, sound or not) or
a function that is given the `Exchange`. Everything that was asked and sent is counted.
"""

import hashlib
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import urlsplit

PATIENCE = 60.0  # no gate stays closed longer: a test that failed must not keep threads
PIECE = 256 << 10
UNIT = 64 << 10


def path_of(url):
    return urlsplit(url).path if url else None


class Generated:
    """Content that is too long to be kept: blocks that differ in the number they begin with."""

    def __init__(self, size):
        self.size = size
        self.block = hashlib.sha256(b"block").digest() * (UNIT // 32)

    def __len__(self):
        return self.size

    def __getitem__(self, part):
        first, last = part.start // UNIT, (part.stop + UNIT - 1) // UNIT
        blocks = b"".join(i.to_bytes(8, "big") + self.block[8:] for i in range(first, last))
        return blocks[part.start - first * UNIT : part.stop - first * UNIT]


@dataclass
class Serve:
    """A resource. All lengths and offsets are of its content."""

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    etag: str = None
    modified: float = None
    framing: str = "length"  # or "chunked", or "close"
    declared: int = None  # what Content-Length says instead of the truth
    cut: int = None  # the connection ends before this byte
    reset: bool = False  # and by a reset, not in order
    ranges: str = "honour"  # or "ignore", "none", "416", "shifted", "total", "unsaid", "multipart"
    conditional: bool = True  # answers 304
    head_gate: object = None  # an Event that is waited for before the head
    gates: dict = field(default_factory=dict)  # {offset: Event}: the same before that byte
    rate: int = None  # bytes a second
    close: bool = False  # says and does so at the end

    def __call__(self, exchange):
        if self.head_gate:
            exchange.wait(self.head_gate)
        if self.conditional and self._is_known(exchange.request):
            exchange.head(304, self._validators(), None)
            return
        wanted = exchange.request.wanted_range(len(self.body))
        if wanted and self._range_applies(exchange.request):
            self._serve_part(exchange, *wanted)
        else:
            self._serve(exchange, self.status, {}, 0, len(self.body))

    def _validators(self):
        headers = {}
        if self.etag:
            headers["ETag"] = self.etag
        if self.modified is not None:
            headers["Last-Modified"] = formatdate(self.modified, usegmt=True)
        return headers

    def _is_known(self, request):
        if "if-none-match" in request.headers:
            return self.etag is not None and self.etag in request.headers["if-none-match"]
        since = request.headers.get("if-modified-since")
        return self.modified is not None and since == formatdate(self.modified, usegmt=True)

    def _range_applies(self, request):
        if self.ranges in ("ignore", "none"):
            return False
        condition = request.headers.get("if-range")
        return condition is None or condition in self._validators().values()

    def _serve_part(self, exchange, start, end):
        """[start, end), and the ways to get it wrong."""
        total = len(self.body)
        if self.ranges == "416":
            exchange.head(416, {"Content-Range": f"bytes */{total}"}, 0)
            return
        if self.ranges == "shifted":
            start -= 1
        said_total = total + 1 if self.ranges == "total" else total
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{said_total}"}
        if self.ranges == "unsaid":
            headers = {}
        elif self.ranges == "multipart":
            headers = {"Content-Type": "multipart/byteranges; boundary=x"}
        self._serve(exchange, 206, headers, start, end)

    def _serve(self, exchange, status, extra, start, end):
        headers = {**self._validators(), **self.headers, **extra}
        if self.ranges == "none":
            headers["Accept-Ranges"] = "none"
        length = None
        if self.framing == "length":
            length = end - start if self.declared is None else self.declared - start
        elif self.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        if self.framing == "close" or self.close:
            headers["Connection"] = "close"
        exchange.head(status, headers, length)
        if exchange.request.method == "HEAD":
            return
        self._send(exchange, start, end)

    def _send(self, exchange, start, end):
        stop = end if self.cut is None else max(start, min(end, self.cut))
        stops = sorted({stop, *(at for at in self.gates if start <= at < stop)})
        off = start
        for upto in stops:
            if off in self.gates:
                exchange.wait(self.gates[off])
            while off < upto:
                piece = self.body[off : min(upto, off + (PIECE if not self.rate else 16384))]
                if self.rate:
                    exchange.pause(len(piece) / self.rate)
                exchange.content(piece, self.framing == "chunked")
                off += len(piece)
        if self.cut is not None and self.cut < end:
            exchange.end(self.reset)
        if self.framing == "chunked":
            exchange.raw(b"0\r\n\r\n")
        # What is missing or too much in a body of wrong length ends with the connection.
        if self.framing == "close" or self.close or self.declared not in (None, len(self.body)):
            exchange.end(self.reset)


@dataclass
class Raw:
    """Bytes as they are, then the end of the connection, in order or not, or silence."""

    data: bytes = b""
    then: str = "close"  # or "reset", or "silence"

    def __call__(self, exchange):
        exchange.raw(self.data)
        if self.then == "silence":
            exchange.wait(threading.Event())
        exchange.end(self.then == "reset")


def redirect(location, status=302, **headers):
    return Serve(b"elsewhere", status, {"Location": location, **headers}, conditional=False)


class Over(Exception):
    """This connection has ended, as it should."""


class Request:
    """What was asked."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.lines = lines
        self.headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            self.headers[name.strip().lower()] = value.strip()
        self.path = self.target.split("?")[0]
        self.connection = None
        self.head_ns = self.content_ns = None  # monotonic, just before the first byte was sent
        self.sent = 0  # content bytes
        self.whole = False  # the exchange came to its end

    def wanted_range(self, total):
        """(start, end) of a single range that exists, or None."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes=") or "," in value:
            return None
        first, last = value[6:].split("-")
        if not first:
            return max(0, total - int(last)), total
        end = min(int(last) + 1, total) if last else total
        return (int(first), end) if int(first) < total else None


class Exchange:
    """One request on its connection, and the ways to answer it."""

    def __init__(self, origin, sock, request):
        self.origin, self.socket, self.request = origin, sock, request

    def raw(self, data):
        if data:
            self.socket.sendall(data)

    def head(self, status, headers, length):
        """`length` None: no Content-Length."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.request.head_ns = time.monotonic_ns()
        self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def content(self, data, chunked=False):
        if self.request.content_ns is None:
            self.request.content_ns = time.monotonic_ns()
        if chunked:
            self.raw(b"%x\r\n%s\r\n" % (len(data), data))
        else:
            self.raw(data)
        self.request.sent += len(data)

    def wait(self, gate):
        """Until the gate opens, or the test is over."""
        deadline = time.monotonic() + PATIENCE
        while not gate.wait(0.05):
            if self.origin.closed.is_set() or time.monotonic() > deadline or self._has_left():
                raise Over

    def pause(self, seconds):
        if self.origin.closed.wait(seconds):
            raise Over

    def _has_left(self):
        """Whether the peer has closed: what it has said of itself, without taking any of it."""
        if isinstance(self.socket, ssl.SSLSocket):
            return False
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self, reset=False):
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise Over


class Origin:
    """Listens on a free port; one thread a connection."""

    def __init__(self, pair=None, address="127.0.0.1", host=None, port=0):
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(str(pair.cert), str(pair.key))
        self.listener = socket.create_server((address, port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.host = host or address
        self.closed = threading.Event()
        self.changed = threading.Condition()
        self.steps, self.asked, self.sockets = {}, [], set()
        self.connection_count = self.path_count = 0
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Breaks off everything; who connects after that is refused."""
        self.closed.set()
        with self.changed:
            sockets = list(self.sockets)
        for sock in [self.listener, *sockets]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.thread.join(5)

    def put(self, path, *steps):
        """Returns the URL of the path. A `{}` in it becomes a number that no other path has."""
        with self.changed:
            self.path_count += 1
            path = path.replace("{}", str(self.path_count))
            self.steps[path] = list(steps)
        return self.url(path)

    def add(self, *steps):
        """The URL of a path of its own."""
        return self.put("/r{}", *steps)

    def change(self, url, *steps):
        """Other steps for a URL from now on."""
        with self.changed:
            self.steps[path_of(url)] = list(steps)

    def url(self, path, host=None):
        scheme = "https" if self.context else "http"
        return f"{scheme}://{host or self.host}:{self.port}{path}"

    def requests(self, url=None):
        """Of one URL or path, or all."""
        path = path_of(url)
        with self.changed:
            return [r for r in self.asked if url is None or r.path == path]

    def count(self, url=None):
        return len(self.requests(url))

    def sent(self, url):
        """Content bytes."""
        return sum(r.sent for r in self.requests(url))

    def wait_count(self, url, count, timeout=10.0):
        """Until so many requests for it have come; returns the last of them."""
        path = path_of(url)
        with self.changed:
            come = self.changed.wait_for(
                lambda: sum(r.path == path for r in self.asked) >= count, timeout
            )
        assert come, f"{self.count(path)} requests for {path} came, not {count}"
        return self.requests(path)[count - 1]

    def wait_done(self, url, timeout=10.0):
        """Until a request for it has been answered to its end."""
        path = path_of(url)
        with self.changed:
            done = self.changed.wait_for(
                lambda: any(r.whole for r in self.asked if r.path == path), timeout
            )
        assert done, f"no answer for {path} came to its end"

    def _accept(self):
        while not self.closed.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with self.changed:
                self.connection_count += 1
                number = self.connection_count
                self.sockets.add(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                plain = sock
                sock = self.context.wrap_socket(sock, server_side=True)
                with self.changed:
                    self.sockets.discard(plain)
                    self.sockets.add(sock)
            self._talk(sock, number)
        except (OSError, Over):
            pass
        finally:
            with self.changed:
                self.sockets.discard(sock)
            sock.close()

    def _talk(self, sock, number):
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(65536)
                if not data:
                    return
                buffer += data
                if buffer[:1] == b"\x16":  # TLS, for a plain port
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    return
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            request = Request(head)
            request.connection = number
            self._step(request)(Exchange(self, sock, request))
            with self.changed:
                request.whole = True
                self.changed.notify_all()

    def _step(self, request):
        with self.changed:
            self.asked.append(request)
            self.changed.notify_all()
            steps = self.steps.get(request.path)
            if not steps:
                return Serve(b"no such path", 404)
            return steps.pop(0) if len(steps) > 1 else steps[0]
