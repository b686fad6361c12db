#!/usr/bin/python3
"""What endless scripts do to everybody else: latency of a small file while many clients wait for a
script that never ends, beside the same without them. One worker on one core, wrk on another.

    slow_scripts.py [--clients 1000] [--rounds 5] [--seconds 5] [--tarn build/tarn]

The clients ask again when their script was stopped, so there are always as many.
"""

import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from contestants import free_port, child_setup
from measure import WRK_SCRIPT, parse_bench

HERE = Path(__file__).resolve().parent
REQUEST = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


class SlowClients:
    """Connections that always have a request for /slow under way; a context manager."""

    def __init__(self, port, count):
        self.selector = selectors.DefaultSelector()
        self.ended = threading.Event()
        self.answers = 0
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(REQUEST)
            self.selector.register(client, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.ended.is_set():
            for key, _ in self.selector.select(0.1):
                data = key.fileobj.recv(65536)
                self.answers += data.count(b"HTTP/1.1 500")
                if data:
                    key.fileobj.sendall(REQUEST)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def load(port, seconds):
    output = subprocess.run(
        ["wrk", "-t1", "-c10", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s",
         str(WRK_SCRIPT), f"http://127.0.0.1:{port}/index.html"],
        stdout=subprocess.PIPE, text=True, check=True, preexec_fn=child_setup((0,))).stdout
    return parse_bench(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--tarn", default=str(HERE.parent / "build" / "tarn"))
    options = parser.parse_args()
    rows = {"alone": [], "beside": []}
    with tempfile.TemporaryDirectory() as site:
        (Path(site) / "index.html").write_text("x" * 174)
        port = free_port()
        server = subprocess.Popen(
            [options.tarn, "--addr", f"127.0.0.1:{port}", "--threads", "1", "--access-log", "off",
             "--plugin", str(HERE / "scripts" / "slow.c"), site],
            stderr=subprocess.DEVNULL, preexec_fn=child_setup((os.cpu_count() - 1,)))
        try:
            time.sleep(1)
            for _ in range(options.rounds):
                rows["alone"].append(load(port, options.seconds))
                with SlowClients(port, options.clients) as slow:
                    time.sleep(2)
                    rows["beside"].append(load(port, options.seconds))
                print(f"{slow.answers} endless scripts were stopped", file=sys.stderr)
                time.sleep(1)
        finally:
            server.terminate()
            code = server.wait()
    for name, samples in rows.items():
        for what in ("p50_us", "p99_us"):
            values = sorted(sample[what] for sample in samples)
            print(f"{name:8} {what[:3]}  {statistics.median(values):>9,.0f} us "
                  f"({values[0]:,} to {values[-1]:,})")
        rates = sorted(s["requests"] * 1e6 / s["duration_us"] for s in samples)
        print(f"{name:8} {statistics.median(rates):,.0f} requests/s")
    if code != 0:
        sys.exit(f"tarn ended with {code}")
    (HERE.parent / "build" / "bench").mkdir(parents=True, exist_ok=True)
    (HERE.parent / "build" / "bench" / "slow_scripts.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
