"""A running tarn: started on a free port, watched through standard error, ended by SIGTERM."""

import os
import re
import signal
import subprocess
import threading
import time

from harness.binary import REPORT, TARN, clean_environment
from harness.client import Wire

LISTENING = re.compile(r"listening on (?:(https?)://(\[[^\]]+\]|[^:/\s]+):(\d+)|unix:(\S+))")
START_TIMEOUT = 20.0


class Listener:
    """One `listening on` line."""

    def __init__(self, line, match):
        self.line = line
        self.scheme, host, port, path = match.groups()
        if path:
            self.address, self.url = path, None
        else:
            self.address = (host.strip("[]"), int(port))
            self.url = f"{self.scheme}://{host}:{port}"


class Server:
    """Starts the process; `ready` waits until `listener_count` listeners are announced."""

    def __init__(
        self, args, *, listener_count=1, env=None, stdin=None, pass_fds=(), command=(), cwd=None
    ):
        self.argv = [*command, TARN, *map(str, args)]
        self.listener_count = listener_count
        self.lines = []
        self.listeners = []
        self.wires = []
        self.waited = False
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_environment(env),
            pass_fds=pass_fds,
            cwd=cwd,
        )
        self.reader = threading.Thread(target=self._read_stderr, daemon=True)
        self.reader.start()

    def _read_stderr(self):
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self.changed:
                self.lines.append(line)
                match = LISTENING.search(line)
                if match:
                    self.listeners.append(Listener(line, match))
                self.changed.notify_all()
        with self.changed:
            self.lines.append("")  # a last wake-up: no more lines will come
            self.changed.notify_all()

    @property
    def stderr(self):
        return "\n".join(self.lines)

    @property
    def pid(self):
        return self.process.pid

    def _wait(self, condition, timeout, what):
        """Waits for `condition` over the lines so far; a process that ends cannot fulfil it."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                ended = self.process.poll() is not None and not self.reader.is_alive()
                if left <= 0 or ended:
                    raise AssertionError(f"{what} did not come; standard error:\n{self.stderr}")
                self.changed.wait(min(left, 0.5))

    def ready(self):
        self._wait(
            lambda: len(self.listeners) >= self.listener_count,
            START_TIMEOUT,
            f"{self.listener_count} `listening on` line(s)",
        )
        return self

    def wait_line(self, pattern, timeout=10.0, after=0):
        """Waits for a line of standard error that matches, beyond the first `after` lines."""
        found = []

        def look():
            found[:] = [m for m in (re.search(pattern, l) for l in self.lines[after:]) if m]
            return bool(found)

        self._wait(look, timeout, f"a line matching {pattern!r}")
        return found[0]

    @property
    def main(self):
        return next(l for l in self.listeners if "admin" not in l.line)

    @property
    def admin(self):
        return next(l for l in self.listeners if "admin" in l.line)

    @property
    def plain(self):
        return next(l for l in self.listeners if l.scheme == "http" and l is not self._admin())

    @property
    def tls(self):
        return next(l for l in self.listeners if l.scheme == "https")

    def _admin(self):
        return next((l for l in self.listeners if "admin" in l.line), None)

    @property
    def port(self):
        return self.main.address[1]

    def url(self, path="/"):
        return self.main.url + path

    def connect(self, listener=None, timeout=10.0, **options):
        wire = Wire((listener or self.main).address, timeout, **options)
        self.wires.append(wire)
        return wire

    def get(self, path, *headers, method="GET", listener=None, timeout=10.0):
        """One request on a connection of its own."""
        with self.connect(listener, timeout) as wire:
            return wire.fetch(path, *headers, method=method)

    def send(self, signum):
        self.process.send_signal(signum)

    def is_running(self):
        return self.process.poll() is None

    def socket_count(self):
        """Sockets that the process holds, listeners included."""
        return sum(t.startswith("socket:") for t in self._descriptors())

    def descriptor_count(self):
        return len(self._descriptors())

    def _descriptors(self):
        folder = f"/proc/{self.pid}/fd"
        targets = []
        for name in os.listdir(folder):
            try:
                targets.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass
        return targets

    def metric(self, name):
        """A number of the admin listener's /metrics; `name` with its labels. 0: not there."""
        text = self.get("/metrics", listener=self.admin).text
        found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", text, re.M)
        return float(found.group(1)) if found else 0

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(l.split()[1]) for l in status if l.startswith("VmRSS:"))

    def wait_exit(self, timeout=15.0):
        """Waits for the end; returns the exit code. Fails on a sanitizer report or a crash."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"tarn did not exit:\n{self.stderr}") from None
        self.waited = True
        self.reader.join(5)
        assert not REPORT.search(self.stderr), self.stderr
        return code

    def stop(self):
        """The ordinary end of every test: SIGTERM must give exit code 0 and a clean report."""
        for wire in self.wires:
            wire.close()
        if self.waited:
            return
        assert self.is_running(), f"tarn ended by itself:\n{self.stderr}"
        self.send(signal.SIGTERM)
        code = self.wait_exit()
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.stderr}"


def wait_until(condition, timeout=10.0, what="the condition"):
    """Polls for what has no event to wait for, such as a count of descriptors."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
        time.sleep(0.01)
