#!/usr/bin/python3
"""Figures of the fetch cache that have no peer: what a miss adds to the origin's first byte, and what a
million entries cost.

    bench/cache.py                both
    bench/cache.py miss --files 300
    bench/cache.py million --entries 1000000

miss: a site of small files on one tarn, a cache before it; each file is asked for once at the origin and
once, as a miss, through the cache, in turn, each on a connection of its own. What is compared is the time
from the connection to the first byte of the answer.

million: the index of a cache gets that many rows, as if the files were there, then the cache starts: time
until it answers, memory for each entry, and CPU time of a hit beside that of a cache with one entry.
"""

import argparse
import hashlib
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import procfs

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
URL = "https://storage.example.org/builds/mainline/v6.18-rc{:07}/arm64/defconfig/gcc-12/Image.gz?x={:06}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)


@contextmanager
def running(tarn, *arguments, folder):
    """A tarn on a port of its own; gives (port, process, seconds until it answered)."""
    port = free_port()
    with open(Path(folder) / f"log-{port}", "wb") as log:
        started = time.monotonic()
        process = subprocess.Popen([tarn, *arguments, "--addr", f"127.0.0.1:{port}", "--access-log", "off"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while True:
                try:  # it listens before it has loaded what it answers from
                    first_byte(port, "/health")
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                        sys.exit(f"{arguments[0]}: did not start: {(Path(folder) / f'log-{port}').read_text()}")
                    time.sleep(0.002)
            yield port, process, time.monotonic() - started
        finally:
            process.terminate()
            process.wait()


def first_byte(port, target):
    """Seconds until the first byte of the answer to a GET; reads it to its end."""
    with connect(port) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        started = time.perf_counter()
        start = connection.recv(65536)
        seconds = time.perf_counter() - started
        while part := connection.recv(65536):
            start += part
    if not start.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"{target}: {start[:200]!r}")
    return seconds, start


def spread(values):
    values = sorted(values)
    return f"median {statistics.median(values):.2f}, 99 % below {values[int(len(values) * 0.99)]:.2f} ms"


def measure_miss(arguments, folder):
    site = Path(folder) / "site"
    site.mkdir()
    for number in range(arguments.files):
        (site / f"{number}.bin").write_bytes(os.urandom(10240))
    with running(arguments.tarn, "-t", "1", str(site), folder=folder) as (origin, _, _), \
            running(arguments.tarn, "cache", "-t", "1", "--cache-dir", str(Path(folder) / "cache"),
                    "--upstream-allow", "127.0.0.0/8", folder=folder) as (cache, _, _):
        direct, missed, added = [], [], []
        for number in range(arguments.files):
            alone, _ = first_byte(origin, f"/{number}.bin")
            through, answer = first_byte(
                cache, f"/api/v1/fetch?url=http://127.0.0.1:{origin}/{number}.bin")
            if b"X-Cache: miss" not in answer:
                sys.exit("not a miss")
            direct.append(alone * 1000)
            missed.append(through * 1000)
            added.append((through - alone) * 1000)
    print(f"first byte, {arguments.files} files of 10 KB, one at a time")
    print(f"  origin:        {spread(direct)}")
    print(f"  through cache: {spread(missed)}")
    print(f"  added:         {spread(added)}; bar: under 5")


def fill_index(path, count):
    """Rows for resources that nobody will ask for; the directory stays as after an orderly end."""
    now = int(time.time())
    digest = hashlib.sha256(b"").digest()
    database = sqlite3.connect(path)
    columns = [row[1] for row in database.execute("PRAGMA table_info(entry)")]
    values = {"url_hash": 0, "content_type": "application/octet-stream", "etag": '"5f3a1c-9e8d7c6b5a"',
              "content_coding": "", "len": 1000, "sha256": digest, "last_modified": now, "created": now,
              "last_used": now, "ttl": 864000, "uses": 1}
    database.executemany(
        f"INSERT INTO entry ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        ([1000 + number if column == "id"
          else URL.format(number, number % 1000000) if column == "url" else values[column]
          for column in columns] for number in range(count)))
    database.commit()
    database.close()


def hit_us(port, process, target, seconds=3):
    """CPU microseconds of the server for a hit, under load from one client."""
    first_byte(port, target)
    before = procfs.cpu_ns([process.pid])
    output = subprocess.run(["wrk", "-t1", "-c20", f"-d{seconds}s", f"http://127.0.0.1:{port}{target}"],
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    requests = int(next(line.split()[0] for line in output.splitlines() if "requests in" in line))
    return (procfs.cpu_ns([process.pid]) - before) / 1000 / requests


def measure_million(arguments, folder):
    site, cache = Path(folder) / "site", str(Path(folder) / "cache")
    site.mkdir()
    (site / "small").write_bytes(b"x" * 174)
    options = ["cache", "-t", "1", "--quota", "0", "--cache-dir", cache, "--upstream-allow", "127.0.0.0/8"]
    with running(arguments.tarn, "-t", "1", str(site), folder=folder) as (origin, _, _):
        target = f"/api/v1/fetch?url=http://127.0.0.1:{origin}/small"
        with running(arguments.tarn, *options, folder=folder) as (port, process, _):
            alone_us = hit_us(port, process, target)
            alone_kib = procfs.pss_kib([process.pid])
        fill_index(Path(cache) / "index.db", arguments.entries)
        with running(arguments.tarn, *options, folder=folder) as (port, process, seconds):
            kib = procfs.pss_kib([process.pid])
            among_us = hit_us(port, process, target)
    print(f"{arguments.entries:,} entries, URLs of {len(URL.format(0, 0))} bytes")
    print(f"  start:       {seconds:.2f} s; bar: under 3")
    print(f"  memory:      {(kib - alone_kib) * 1024 / arguments.entries:.0f} bytes an entry; bar: under 300")
    print(f"  CPU of a hit: {among_us:.2f} us, {alone_us:.2f} us with one entry")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", nargs="*", choices=["miss", "million", []], help="default: both")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--entries", type=int, default=1000000)
    parser.add_argument("--tarn", default=str(ROOT / "build" / "tarn"))
    arguments = parser.parse_args()
    for name, measure in (("miss", measure_miss), ("million", measure_million)):
        if not arguments.what or name in arguments.what:
            with tempfile.TemporaryDirectory(prefix="tarn-bench-cache-") as folder:
                measure(arguments, folder)


if __name__ == "__main__":
    main()
