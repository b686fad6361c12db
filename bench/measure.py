"""One turn of one contestant: start it, check its answer, warm it up, load it, read the counters.

CPU time per request is the server's CPU time between two reads of the scheduler's counters, both
while it is idle, divided by the requests that the generator counted as answered. (A kernel with
CONFIG_IRQ_TIME_ACCOUNTING charges soft interrupts to nobody, so there the figures of all
contestants lack that part of the network's work.) The generator's own figures are the only source
of requests; they are cross-checked with its byte count, so that a server which answers with
something else than the probed response cannot look fast.
"""

import functools
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import procfs
from cgroup import MemoryGroup
from contestants import BenchError, Server, Setup, child_setup

HERE = Path(__file__).resolve().parent
WRK_SCRIPT = HERE / "wrk.lua"
WRK_TIMEOUT = "60s"  # a queue of big answers on one core is slow, not broken
BIG_BODY = 1024 * 1024
SETTLE_SECONDS = 0.1
MEMORY_SETTLE_SECONDS = 1.0
PEAK_PERIOD_SECONDS = 0.25
RECV_SECONDS = 30
LATENCIES = ("p50_us", "p99_us", "mean_us", "max_us")


def receive_answer(connection):
    """(head, body, length in bytes) of one response; the connection stays open."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    need = content_length(head)
    parts, have = [body], len(body)
    while have < need:
        parts.append(_receive(connection))
        have += len(parts[-1])
    body = b"".join(parts)
    return head.decode("latin-1"), body, len(head) + 4 + len(body)


def _receive(connection):
    data = connection.recv(1 << 20)
    if not data:
        raise BenchError("the server closed the connection in the middle of a response")
    return data


def content_length(head):
    if head.split(None, 2)[1] == b"304":
        return 0
    value = header_of(head.decode("latin-1"), "content-length")
    if value is None:
        raise BenchError("a response without Content-Length: " + head.decode("latin-1"))
    return int(value)


def header_of(head, name):
    for line in head.split("\r\n")[1:]:
        field, _, value = line.partition(":")
        if field.strip().lower() == name:
            return value.strip()
    return None


def get(port, path, headers=(), ca_file=None, post=""):
    """One HTTP/1.1 exchange, over TLS 1.3 when there is a CA file to verify the server by."""
    method = "POST" if post else "GET"
    length = [f"Content-Length: {len(post)}"] if post else []
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, *length, "", post]
    with socket.create_connection(("127.0.0.1", port), timeout=RECV_SECONDS) as connection:
        if ca_file:
            connection = secured(connection, ca_file)
        connection.sendall("\r\n".join(lines).encode("ascii"))
        answer = receive_answer(connection)
        connection.close()
        return answer


def secured(connection, ca_file):
    """The connection after a handshake that the workloads take for granted."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        return context.wrap_socket(connection, server_hostname="127.0.0.1")
    except OSError as error:
        raise BenchError(f"TLS handshake: {error}") from error


class Origin:
    """A server in this process that has the files to be cached; a context manager that gives its
    port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

    def __init__(self, site):
        handler = functools.partial(self.Handler, directory=str(site))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self.server.server_address[1]

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def target_of(server, workload):
    """What is asked for; the same in all of a turn."""
    if workload.signed:
        return server.contestant.signed(workload.path)
    return server.contestant.target(server.setup, workload.path)


def probe(server, workload, target):
    """Checks that the server answers as the workload expects; returns (request headers to send,
    length of the whole response)."""
    headers = []
    ca_file = server.setup.tls.cert if server.setup.tls else None
    if workload.status == 304:
        etag = header_of(get(server.port, target, (), ca_file)[0], "etag")
        if not etag:
            raise BenchError(f"{server.contestant.name}: {workload.path} has no ETag")
        headers = [f"If-None-Match: {etag}"]
    if workload.cached:  # the first answer, from the origin, has other header lines
        get(server.port, target, headers, ca_file)
    head, body, length = get(server.port, target, headers, ca_file, workload.post)
    status = int(head.split(None, 2)[1])
    if status != workload.status:
        raise BenchError(f"{server.contestant.name}: {workload.path}: status {status}, "
                         f"not {workload.status}\n{head}\n{server.log_tail()}")
    if workload.has_file and status == 200 and body != server.setup.file.read_bytes():
        raise BenchError(f"{server.contestant.name}: {workload.path}: wrong content")
    return headers, length


def parse_bench(output):
    """What wrk.lua and handshakes.c print."""
    for line in output.splitlines():
        if line.startswith("BENCH "):
            return json.loads(line[len("BENCH "):])
    raise BenchError("no totals in the output of the generator:\n" + output)


H2LOAD_COUNTS = re.compile(
    r"^requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, "
    r"(\d+) errored, (\d+) timeout\n"
    r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx\n"
    r"traffic: .* total, .* headers .*, \S+ \((\d+)\) data$", re.MULTILINE)
H2LOAD_FINISHED = re.compile(r"^finished in (\S+), ", re.MULTILINE)
H2LOAD_TIME = re.compile(r"^time for request: +\S+ +(\S+) +(\S+) ", re.MULTILINE)
TIME_UNITS_US = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000}


def parse_duration_us(text):
    """h2load's way of writing a time: 234us, 4.27ms, 2.00s, 1.5m."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not match:
        raise BenchError(f"h2load: {text} is not a time")
    return float(match.group(1)) * TIME_UNITS_US[match.group(2)]


def parse_h2load(output):
    """The totals that wrk gives, and mean and greatest latency instead of percentiles, which
    h2load does not have. Its bytes are those of bodies."""
    counts = H2LOAD_COUNTS.search(output)
    finished = H2LOAD_FINISHED.search(output)
    times = H2LOAD_TIME.search(output)
    if not (counts and finished and times):
        raise BenchError("no totals in the output of h2load:\n" + output)
    total, done, succeeded, failed, errored, timeout, good, *others, data = map(
        int, counts.groups())
    # A status counts when it comes, a request when it ends: of those cut off only the first does.
    protocol = re.search(r"^Application protocol: (\S+)$", output, re.MULTILINE)
    return {
        "requests": succeeded,
        "bytes": data,
        "duration_us": parse_duration_us(finished.group(1)),
        "mean_us": parse_duration_us(times.group(2)),
        "max_us": parse_duration_us(times.group(1)),
        "errors": {"failed": failed, "errored": errored, "timeout": timeout, "status": sum(others),
                   "unfinished": total - done, "without 2xx": max(0, succeeded - good),
                   "other protocol": 0 if protocol and protocol.group(1) == "h2" else 1},
    }


def check_totals(name, totals, workload, response_len):
    """Fails unless every answer was the probed one."""
    bad = {kind: count for kind, count in totals["errors"].items() if count}
    if bad:
        raise BenchError(f"{name}: {workload.name}: errors under load: {bad}")
    if totals["requests"] == 0:
        raise BenchError(f"{name}: {workload.name}: no request was answered; longer rounds "
                         "(--seconds) or fewer connections are needed")
    least = totals["requests"] * response_len
    most = least + workload.connections * workload.streams * response_len
    if not least <= totals["bytes"] <= most:
        raise BenchError(f"{name}: {workload.name}: {totals['bytes']} bytes for "
                         f"{totals['requests']} answers of {response_len} bytes: not all answers "
                         "were the expected one")


def served_count(totals, workload, response_len):
    """Requests answered. Of big bodies a whole round has few, and the ones cut off by its end would
    cost CPU time without counting, so there the bytes are what counts."""
    if workload.kind == "load" and workload.body_len >= BIG_BODY and workload.status == 200:
        return totals["bytes"] / response_len
    return totals["requests"]


class Bench:
    """Everything that stays the same over all turns. `options.tools` has the generators by name,
    `options.credentials` what TLS needs, `options.generator_env` their environment."""

    def __init__(self, options, sites):
        self.options = options
        self.sites = sites

    def _setup(self, workload, origin=0):
        cpus = (self.options.server_cpu,) if workload.is_pinned else self.options.all_cpus
        site, file = self.sites.of(workload)
        return Setup(site=site, file=file, status=workload.status, workers=len(cpus), cpus=cpus,
                     connections=workload.connections, origin=origin,
                     script=workload.script, scripts=workload.scripts,
                     tls=self.options.credentials if workload.tls else None)

    def turn(self, contestant, workload, seconds):
        """One measurement: a dict of plain numbers."""
        if workload.kind == "held":
            return self._held_turn(contestant, workload)
        with ExitStack() as stack:
            group = None
            if workload.memory_limit and self.options.memory_cgroup:
                group = stack.enter_context(
                    MemoryGroup(self.options.memory_cgroup, workload.memory_limit))
            origin = 0
            if workload.cached:
                origin = stack.enter_context(Origin(self.sites.of(workload)[0]))
            server = stack.enter_context(Server(contestant, self._setup(workload, origin), group))
            if workload.kind == "idle":
                return {"pss_kib": self._idle_kib(server, workload)}
            return self._load(server, workload, seconds)

    def _held_turn(self, contestant, workload):
        """Growth is counted from the same server as it starts by default, not from one already set
        up for many connections: room reserved for them at start is a cost of theirs, too."""
        plain = replace(workload, kind="idle", connections=0)
        default_kib = self.turn(contestant, plain, 0)["pss_kib"]
        with Server(contestant, self._setup(workload)) as server:
            ready_kib = self._idle_kib(server, workload)
            held_kib = self._hold(server, workload)
        growth = held_kib - default_kib
        return {"idle_pss_kib": default_kib, "ready_pss_kib": ready_kib, "pss_kib": held_kib,
                "growth_kib": growth, "bytes_per_connection": growth * 1024 / workload.connections}

    def _generator(self, server, workload, target, headers, seconds):
        """The command line of the generator, and the function that reads what it prints."""
        port, tools = server.port, self.options.tools
        url = f"://127.0.0.1:{port}{target}"
        if workload.kind == "handshake":
            return [tools["handshakes"], str(port), str(workload.connections), str(seconds),
                    "resumed" if workload.resumed else "full"], parse_bench
        header_options = [word for header in headers for word in ("-H", header)]
        if workload.kind == "h2":
            return [tools["h2load"], "-t1", f"-c{workload.connections}", f"-m{workload.streams}",
                    "-D", str(seconds), *header_options, "https" + url], parse_h2load
        return [tools["wrk"], "-t1", f"-c{workload.connections}", f"-d{seconds}s", "--latency",
                "--timeout", WRK_TIMEOUT, "-s", str(WRK_SCRIPT), *header_options,
                ("https" if workload.tls else "http") + url], parse_bench

    def _generate(self, server, workload, target, headers, seconds, on_wait=None):
        """The generator's totals; `on_wait(process)` runs meanwhile."""
        argv, parse = self._generator(server, workload, target, headers, seconds)
        environment = dict(self.options.generator_env or os.environ, BENCH_POST=workload.post)
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env=environment,
                              preexec_fn=child_setup((self.options.load_cpu,))) as process:
            try:
                if on_wait:
                    on_wait(process)
                output, _ = process.communicate(timeout=seconds + 60)
            except BaseException:
                process.kill()
                raise
        server.check_running()
        if process.returncode != 0:
            raise BenchError(f"{argv[0]} ended with {process.returncode}:\n{output}")
        return parse(output)

    def _load(self, server, workload, seconds):
        target = target_of(server, workload)
        headers, response_len = probe(server, workload, target)
        if workload.kind != "load":
            response_len = {"h2": workload.body_len, "handshake": 0}[workload.kind]
        name = server.contestant.name
        warm = self._generate(server, workload, target, headers, self.options.warmup)
        check_totals(name, warm, workload, response_len)
        time.sleep(SETTLE_SECONDS)

        pids = server.pids()
        pss = PssSampler(pids, seconds, bool(workload.memory_limit))
        cpu_before = procfs.cpu_ns(pids)
        busy_before = procfs.core_busy_ns(self.options.server_cpu)
        totals = self._generate(server, workload, target, headers, seconds, pss.sample_while)
        time.sleep(SETTLE_SECONDS)
        cpu = procfs.cpu_ns(pids) - cpu_before
        busy = procfs.core_busy_ns(self.options.server_cpu) - busy_before

        if server.pids() != pids:
            raise BenchError(f"{name}: a process ended or began during the round")
        check_totals(name, totals, workload, response_len)
        return load_sample(totals, served_count(totals, workload, response_len), cpu, busy,
                           {"pss_kib": pss.highest, "peak_rss_kib": procfs.peak_rss_kib(pids),
                            "cgroup_peak_bytes": server.group.peak_bytes() if server.group else 0})

    def _idle_kib(self, server, workload):
        probe(server, workload, target_of(server, workload))
        time.sleep(MEMORY_SETTLE_SECONDS)
        return procfs.pss_kib(server.pids())

    def _hold(self, server, workload):
        """PSS of the server while the idle client holds its connections."""
        argv = [self.options.tools["idle"], str(server.port), str(workload.connections),
                workload.path, *(["tls"] if workload.tls else [])]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              preexec_fn=child_setup(self.options.all_cpus)) as client:
            try:
                held = client.stdout.readline()
                time.sleep(MEMORY_SETTLE_SECONDS)
                pss = procfs.pss_kib(server.pids())
                output, errors = client.communicate(timeout=RECV_SECONDS)
            except BaseException:
                client.kill()
                raise
        name, count = server.contestant.name, str(workload.connections)
        if held.split() != ["held", count]:
            raise BenchError(f"{name}: {errors.strip()}\n{server.log_tail()}")
        if output.split() != ["alive", count]:
            raise BenchError(f"{name}: closed idle connections, of {count}: {output.strip()}")
        return pss


def load_sample(totals, served, cpu, busy, memory):
    wall = totals["duration_us"] * 1000
    return {
        "requests": totals["requests"],
        "bytes": totals["bytes"],
        "requests_per_s": served * 1e9 / wall,
        "cpu_us": cpu / 1000 / served,
        "busy_share": cpu / wall,
        "core_us": busy / 1000 / served,
        "foreign_share": max(0.0, (busy - cpu) / wall),
        **{key: totals[key] for key in LATENCIES if key in totals},
        **memory,
    }


class PssSampler:
    """Highest PSS seen during a round: one look in the middle, or many when the peak matters (each
    look costs the server a little)."""

    def __init__(self, pids, seconds, often):
        self.pids = pids
        self.period = PEAK_PERIOD_SECONDS if often else seconds / 2
        self.highest = 0

    def sample_while(self, process):
        while True:
            try:
                process.wait(self.period)
                return
            except subprocess.TimeoutExpired:
                self.highest = max(self.highest, procfs.pss_kib(self.pids))
            if self.period > PEAK_PERIOD_SECONDS:
                return
