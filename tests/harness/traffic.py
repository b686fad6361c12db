"""Clients in threads that keep asking while something happens to the server, and count failures."""

import threading

from harness.client import Wire, request_bytes


class Traffic:
    """Keep-alive clients that ask for `path` until stopped or the server is gone.

    A failure is an answer that is cut short or is not acceptable. A connection that the server
    closed between two requests is none: HTTP lets it do that, and clients ask again (RFC 9112
    section 9.3.1).
    """

    def __init__(
        self, address, path="/", clients=4, acceptable=lambda response: True, connect=Wire
    ):
        self.address = address
        self.connect = connect
        self.request = request_bytes("GET", path)
        self.acceptable = acceptable
        self.stopping = threading.Event()
        self.no_new_connections = threading.Event()
        self.lock = threading.Lock()
        self.failures = []
        self.answered = 0
        self.closed_between = 0
        self.bodies = set()
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"

    def assert_clean(self):
        assert not self.failures, f"{len(self.failures)} failures: {self.failures[:5]}"
        assert self.answered, "no request was answered"

    def _client(self):
        while not self.stopping.is_set() and not self.no_new_connections.is_set():
            try:
                wire = self.connect(self.address)
            except OSError as error:
                if not self.no_new_connections.is_set():
                    self._fail(f"connect: {error}")
                return
            with wire:
                self._talk(wire)

    def _talk(self, wire):
        """Asks on one connection until it ends."""
        asked = 0
        while not self.stopping.is_set():
            try:
                wire.send(self.request)
                response = wire.read_response()
            except (OSError, AssertionError) as error:
                if wire.buffer or asked == 0 or isinstance(error, TimeoutError):
                    self._fail(f"after {asked} answers: {error!r}")
                else:
                    with self.lock:
                        self.closed_between += 1
                return
            asked += 1
            with self.lock:
                self.answered += 1
                self.bodies.add(response.body)
            if not self.acceptable(response):
                self._fail(f"unacceptable: {response!r}")
            if response.says_close:
                return

    def _fail(self, what):
        with self.lock:
            self.failures.append(what)


def read_slowly(wire, total, chunk, pause):
    """Reads a body of `total` bytes in small pieces; `pause` is called between them."""
    body = bytearray()
    while len(body) < total:
        data = wire.read_some(min(chunk, total - len(body)))
        assert data, f"closed after {len(body)} of {total} bytes"
        body += data
        pause()
    return bytes(body)
