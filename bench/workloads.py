"""What is measured: the table of workloads, and the groups they can be asked for by."""

from dataclasses import dataclass, replace

KISS_CONNECTIONS = (1, 10, 100, 500)
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Workload:
    """One measurement. `kind` is load (wrk), h2 (h2load, `streams` at a time on each connection),
    handshake (`connections` at a time, TLS and nothing else), idle (memory of a server that just
    started) or held (memory growth by `connections` idle keep-alive connections). `cached`: the
    file lies on another server, and the one that is measured has it in its cache. `script`: a
    request script of bench/scripts/, .c for tarn and .lua for nginx, `scripts` of them in a row."""

    name: str
    title: str
    path: str = "/"
    body_len: int = 0
    connections: int = 100
    status: int = 200
    kind: str = "load"
    tls: bool = False
    cached: bool = False
    script: str = ""
    scripts: int = 1
    signed: bool = False  # the path gets a query with a signature
    post: str = ""  # body of a POST request
    resumed: bool = False  # handshakes
    streams: int = 1
    memory_limit: int = 0  # bytes, 0: none
    bar: float = 0.0  # least ratio nginx / tarn, 0: none
    goal: float = 0.0

    @property
    def has_file(self):
        return self.body_len > 0

    @property
    def is_pinned(self):
        """Whether the server has one core and the generator another."""
        return self.kind in ("load", "h2", "handshake")

    def with_connections(self, count):
        """The same workload at another number of connections; the bars belong to the original."""
        if count == self.connections:
            return self
        return replace(self, name=f"{self.name}@{count}", connections=count, bar=0.0, goal=0.0)


def _file(name, path, body_len, **more):
    return Workload(name, f"GET {path}, {body_len:,} bytes", path, body_len, **more)


def _tls(name, path, body_len, **more):
    return _file(f"tls-{name}", path, body_len, tls=True, **more)


def _h2(name, path, body_len, **more):
    return _file(f"h2-{name}", path, body_len, tls=True, kind="h2", connections=20, streams=10,
                 **more)


def _cached(name, path, body_len, **more):
    return Workload(f"cache-{name}", f"GET {path}, {body_len:,} bytes, from the cache", path,
                    body_len, cached=True, **more)


def _script(name, title, path="/174.html", body_len=174, script=None, **more):
    return Workload(f"script-{name}", title, path, body_len, tls=True, script=script or name,
                    **more)


def _handshake(name, title, **more):
    return Workload(name, title, "/174.html", 174, connections=20, kind="handshake", tls=True,
                    bar=1.2, goal=1.5, **more)


def _kcup(name, path, body_len):
    return _file(name, path, body_len, connections=400, memory_limit=100_000_000)


_TABLE = (
    _file("174B", "/174.html", 174, bar=1.7, goal=1.9),
    _file("10KB", "/10k.txt", 10 * 1024, bar=1.15, goal=1.4),
    _file("100KB", "/100k.txt", 100 * 1024, bar=1.1, goal=1.3),
    _file("1MB", "/1m.bin", MEGABYTE, bar=1.0, goal=1.2),
    _file("12B", "/12.txt", 12),
    _file("10MB", "/10m.bin", 10 * MEGABYTE),
    Workload("304", "GET /10k.txt, If-None-Match matches", "/10k.txt", 10 * 1024, status=304),
    Workload("health", "GET /health", "/health"),
    _kcup("kcup-10KB", "/10k.txt", 10 * 1024),
    _kcup("kcup-100KB", "/100k.txt", 100 * 1024),
    _kcup("kcup-1MB", "/1m.bin", MEGABYTE),
    _tls("174B", "/174.html", 174, bar=1.6, goal=2.0),
    _tls("100KB", "/100k.txt", 100 * 1024, bar=1.5, goal=2.0),
    _tls("10KB", "/10k.txt", 10 * 1024),
    _tls("1MB", "/1m.bin", MEGABYTE),
    _h2("174B", "/174.html", 174, bar=1.7, goal=2.3),
    _h2("100KB", "/100k.txt", 100 * 1024, bar=1.5, goal=2.0),
    _h2("10KB", "/10k.txt", 10 * 1024),
    _cached("174B", "/174.html", 174),
    _cached("100KB", "/100k.txt", 100 * 1024, bar=1.3),
    _cached("10MB", "/10m.bin", 10 * MEGABYTE, bar=1.0),
    _script("header", "two headers on a file of 174 bytes, by a script", bar=2.0, goal=2.7),
    _script("json", "a JSON answer by a script", "/json", 0, bar=1.8, goal=2.2),
    _script("kv", "a counter in shared memory, by a script", "/kv", 0, bar=1.5),
    _script("signed", "a signed link is checked by a script", signed=True, bar=1.5),
    _script("rate", "a rate limit by client, by a script", bar=1.5),
    _script("jsonbody", "a JSON body is read by a script", "/post", 0, bar=1.5,
            post='{"user":{"name":"Grace Hopper","roles":["admin","editor"],"age":85},'
                 '"tags":["a","b","c"],"active":true,"score":12.5}'),
    _script("none10", "ten scripts that do nothing, before a file of 174 bytes", script="nothing",
            scripts=10),
    _handshake("handshake-full", "full TLS 1.3 handshakes, ECDSA P-256"),
    _handshake("handshake-resumed", "TLS 1.3 handshakes resumed by ticket", resumed=True),
    # The goal is 4 MB, written as the ratio to the 6.9 MB that nginx takes with two workers.
    Workload("idle", "memory of a server that just started, all workers", "/174.html", 174,
             connections=0, kind="idle", bar=1.0, goal=1.7),
    Workload("held", "memory taken by idle keep-alive connections, all workers", "/174.html", 174,
             connections=10_000, kind="held", bar=1.0, goal=3.0),
    Workload("held-tls", "memory taken by idle keep-alive TLS connections, all workers",
             "/174.html", 174, connections=10_000, kind="held", tls=True, bar=1.0, goal=3.0),
)

WORKLOADS = {workload.name: workload for workload in _TABLE}

GROUPS = {
    "core": ("174B", "10KB", "100KB", "1MB", "12B", "10MB", "304", "health"),
    "kiss": tuple(f"{name}@{count}" for name in ("12B", "100KB", "10MB", "304")
                  for count in KISS_CONNECTIONS),
    "kcup": ("kcup-10KB", "kcup-100KB", "kcup-1MB"),
    "memory": ("idle", "held"),
    "tls": ("tls-174B", "tls-100KB", "tls-10KB", "tls-1MB", "held-tls"),
    "h2": ("h2-174B", "h2-100KB", "h2-10KB"),
    "handshake": ("handshake-full", "handshake-resumed"),
    "script": ("script-header", "script-json", "script-kv", "script-signed", "script-rate",
               "script-jsonbody", "script-none10"),
    "cache": ("cache-174B", "cache-100KB", "cache-10MB"),
}
# Not longer than half an hour: of TLS and HTTP/2 only what changes first when something is wrong.
GROUPS["default"] = GROUPS["core"] + GROUPS["memory"] + ("tls-174B", "h2-174B")
GROUPS["all"] = tuple(dict.fromkeys(name for group in list(GROUPS.values()) for name in group))


def lookup(name):
    """The workload called `name`, or NAME@CONNECTIONS; KeyError when there is none."""
    base, at, count = name.partition("@")
    workload = WORKLOADS[base]
    if not at:
        return workload
    if not count.isdigit() or int(count) < 1 or workload.kind == "idle":
        raise KeyError(name)
    return workload.with_connections(int(count))


def select(names):
    """Workloads for a list of workload and group names, in order, each once."""
    chosen = {}
    for name in names:
        for member in GROUPS.get(name, (name,)):
            workload = lookup(member)
            chosen[workload.name] = workload
    return list(chosen.values())
