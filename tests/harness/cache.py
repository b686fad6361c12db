"""A running `tarn cache`: asked as its clients do, its directory looked at as an operator would."""

import hashlib
import json
import os
import re
import socket
import sqlite3
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from harness.client import Wire
from harness.server import Server, wait_until

FETCH = "/api/v1/fetch"
CONTENT = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})\.([0-9a-f]{16})")
OWN = re.compile(r"lock|orderly|index\.db(-wal|-shm)?")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def target(url, path=FETCH, **parameters):
    """The request target that asks for `url`."""
    query = "".join(f"&{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return f"{path}?url={quote(url, safe='')}{query}"


class Broken(Exception):
    """The transfer did not come to its end."""


class Stream:
    """One answer whose content is read as far as a test wants it. A transfer that breaks raises
    Broken; what ends in order is checked to be complete as its framing says."""

    def __init__(self, wire, method="GET", keep=False):
        self.wire = wire
        self.keep = keep
        try:
            self.response = wire.read_head()
        except ConnectionResetError as error:
            raise Broken("reset before the head") from error
        self.status = self.response.status
        self.has_body = method != "HEAD" and self.status not in (204, 304)
        self.chunked = self.response.get("Transfer-Encoding") is not None
        self.in_chunk = False
        self.left = 0 if self.chunked else self.response.length
        self.ended = not self.has_body or (not self.chunked and self.left == 0)

    def __getattr__(self, name):
        return getattr(self.response, name)

    @property
    def x_cache(self):
        return self.response.get("X-Cache")

    @property
    def age(self):
        return int(self.response.get("Age"))

    def _some(self, most):
        try:
            data = self.wire.read_some(most)
        except ConnectionResetError as error:
            raise Broken("reset") from error
        return data

    def _line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            byte = self._some(1)
            if not byte:
                raise Broken("the end came within the framing")
            line += byte
        return line[:-2]

    def piece(self, most=1 << 20):
        """Content that is there, or b"" at the end."""
        if self.ended:
            return b""
        if self.chunked and self.left == 0:
            if self.in_chunk:  # its end, which may come with the next one's size
                assert self._line() == b""
            self.in_chunk = True
            self.left = int(self._line().split(b";")[0], 16)
            if self.left == 0:
                while self._line():
                    pass
                self.ended = True
                return b""
        data = self._some(most if self.left is None else min(most, self.left))
        if self.left is None:  # the end of the connection is that of the content
            self.ended = not data
            return data
        if not data:
            raise Broken(f"closed, {self.left} bytes before the end")
        self.left -= len(data)
        self.ended = self.left == 0 and not self.chunked
        return data

    def read(self, count):
        """The next `count` bytes of content."""
        data = b""
        while len(data) < count:
            piece = self.piece(count - len(data))
            if not piece:
                raise Broken(f"{len(data)} of {count} bytes came before an end")
            data += piece
        return data

    def rest(self):
        """Everything that is still to come; closes the connection."""
        data = bytearray()
        try:
            while piece := self.piece():
                data += piece
        finally:
            if not self.keep:
                self.wire.close()
        return bytes(data)

    def until_broken(self):
        """What comes before it breaks; an end in order is what must never be."""
        data = bytearray()
        try:
            while piece := self.piece():
                data += piece
        except Broken:
            self.wire.close()
            return bytes(data)
        raise AssertionError(f"a clean end after {len(data)} bytes of {self.response!r}")


class Cache(Server):
    """Started on a free port with a directory of its own. Loopback may be fetched from unless
    `upstream_allow` says otherwise; `site` makes it a web server with a cache mounted in it."""

    def __init__(
        self, loop, folder, *args, site=None, upstream_allow="127.0.0.0/8", env=None, addr=True,
        **options,
    ):  # fmt: skip
        self.folder = Path(folder)
        self.killed = False
        allow = ["--upstream-allow", upstream_allow] if upstream_allow else []
        listen = ["--addr", "127.0.0.1:0"] if addr else []
        environment = {name: "" for name in (*PROXY_VARIABLES, *map(str.upper, PROXY_VARIABLES))}
        argv = ["cache"] if site is None else ["serve"]
        # A test that fails may leave a client waiting; the end must not wait for that.
        argv += ["--io", loop, *listen, "--cache-dir", folder, *allow, "--shutdown-timeout", "5s"]
        argv += args
        if site is not None:
            argv.append(site)
        super().__init__(argv, env={**environment, **(env or {})}, **options)

    # Requests.

    def ask(self, url, *headers, method="GET", path=FETCH, version="1.1", timeout=10.0, **more):
        """Sends a request for `url`; the Wire. `more` are parameters of the query."""
        wire = self.connect(timeout=timeout)
        wire.request(target(url, path, **more), *headers, method=method, version=version)
        return wire

    def open(self, url, *headers, method="GET", **more):
        """The answer from its head on."""
        return Stream(self.ask(url, *headers, method=method, **more), method)

    def fetch(self, url, *headers, method="GET", **more):
        """The whole answer; what breaks fails."""
        stream = self.open(url, *headers, method=method, **more)
        stream.response.body = stream.rest()
        return stream

    def receive(self, url, *headers, **more):
        """(status, content that came, whether it came to its end) of a client that is prepared for
        anything. Status None: it broke before the head."""
        data, status = bytearray(), None
        try:
            stream = self.open(url, *headers, **more)
            status = stream.status
            while piece := stream.piece():
                data += piece
        except Broken:
            return status, bytes(data), False
        stream.wire.close()
        return status, bytes(data), True

    def purge(self, url, token, **more):
        return self.fetch(url, f"Authorization: Bearer {token}", method="DELETE", **more)

    def figures(self, path="/api/v1/status/"):
        return json.loads(self.get(path).text)

    def wait_figure(self, name, value, timeout=10.0):
        """Polls the status until a figure has come to a value."""
        seen = {}

        def look():
            seen.update(self.figures())
            return seen[name] == value

        try:
            wait_until(look, timeout, f"{name} = {value}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None

    def wait_idle(self):
        """Until nothing is being downloaded."""
        self.wait_figure("resources_downloading", 0)

    def wait_account(self):
        """Until nothing is being downloaded, and the account is that of the disk: what was being
        read when it went stays in it until its readers have closed."""
        self.wait_idle()
        wait_until(
            lambda: self.figures()["disk_usage"] == usage(self.folder),
            what="an account that is that of the disk",
        )

    # The end.

    def kill(self):
        """As the system does it: without any warning."""
        self.process.kill()
        self.process.wait()
        self.waited = self.killed = True
        self.reader.join(5)
        for wire in self.wires:
            wire.close()

    def stop(self, check=True):
        """`check`: the directory must be in order now."""
        was_running = not self.waited
        super().stop()
        if check and was_running and self.folder.is_dir():
            check_folder(self.folder)


def content_files(folder):
    """{relative path: size} of everything below the directory that is not the cache's own books."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base) / name
            relative = str(path.relative_to(folder))
            if OWN.fullmatch(relative):
                continue
            try:
                found[relative] = path.stat().st_size
            except FileNotFoundError:
                pass
    return found


def usage(folder):
    """Bytes of content on the disk."""
    return sum(content_files(folder).values())


def in_index(folder, statement, *values):
    """Runs a statement in the index of a cache, which should not run if something is changed."""
    database = sqlite3.connect(f"{folder}/index.db", timeout=10)
    try:
        with database:
            return database.execute(statement, values).fetchall()
    finally:
        database.close()


def age_entries(folder, seconds):
    """Makes what a cache that does not run has look so much older."""
    in_index(folder, "UPDATE entry SET created = created - ?", seconds)


def check_folder(folder):
    """After an orderly end: every file is an entry's, every entry has its file, and every byte is
    the right one. Returns {url: content length}."""
    files = content_files(folder)
    expected, known = {}, {}
    for number, url, length, digest in in_index(folder, "SELECT id, url, len, sha256 FROM entry"):
        name = hashlib.sha256(url.encode()).hexdigest()
        path = f"{name[:2]}/{name[2:4]}/{name}.{number:016x}"
        expected[path] = length
        assert url not in known, f"two entries for {url}"
        known[url] = length
        if path in files:
            with open(Path(folder) / path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").digest()
            assert found == digest, f"the file of {url} is not what it was"
    assert files == expected, f"on the disk {files}, in the index {expected}"
    assert all(CONTENT.fullmatch(path) for path in files), files
    return known


def each(cases, check):
    """check(case) for all of them at once, since most of them only wait; fails with the names of
    those that failed."""

    def run(case):
        try:
            check(case)
            return None
        except Exception as error:
            return f"{case}: {error!r}\n{''.join(traceback.format_tb(error.__traceback__)[-2:])}"

    with ThreadPoolExecutor(32) as pool:
        failures = [text for text in pool.map(run, cases) if text]
    assert not failures, "\n".join(failures)


class DeafHost:
    """An address where a connection is never made: nobody accepts, and the queue is full."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.listener, *self.fillers):
            sock.close()


def closed_port():
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wire_to(server, **options):
    return Wire(server.main.address, **options)


def new_folder(base):
    return Path(tempfile.mkdtemp(prefix="cache-", dir=base))
