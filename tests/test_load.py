"""Many clients, slow clients, hostile clients, and files that change underneath."""

import os
import re
import resource
import shutil
import subprocess
import threading
import time

import pytest

from conftest import start_server
from harness.client import Wire, request_bytes
from harness.server import wait_until
from harness.site import build_site, pattern, replace_atomically, tar_bytes, write_tar
from harness.traffic import Traffic, read_slowly

BIG = pattern(32 << 20, seed=5)
FILES = {"index.html": "home", "a.txt": "a" * 1000, "middle.bin": pattern(300_000), "big.bin": BIG}


@pytest.fixture
def folder(tmp_path):
    return build_site(tmp_path / "site", FILES)


def assert_still_serving(server, timeout=5.0):
    assert server.get("/a.txt", timeout=timeout).text == FILES["a.txt"]


def idle_count():
    """10,000, or what the descriptor limit of this machine leaves."""
    return min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)


def test_ten_thousand_idle_connections(launch, folder, slowness):
    """Each asks once and stays. The server raises its own descriptor limit for that."""
    count = idle_count()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = launch(folder, command=["prlimit", f"--nofile=1024:{hard}"])
    assert_still_serving(server)
    before = server.resident_kib()
    raw = request_bytes("GET", "/")
    # Several addresses, so that one pair does not run out of ports.
    wires = [server.connect(source=f"127.0.0.{2 + i % 4}") for i in range(count)]
    for start in range(0, count, 500):
        for wire in wires[start : start + 500]:
            wire.send(raw)
        for wire in wires[start : start + 500]:
            assert wire.read_response().text == "home"
    assert_still_serving(server)
    assert server.socket_count() >= count
    growth = server.resident_kib() - before
    assert slowness > 1 or growth / count < 8, f"{growth} KiB for {count} idle connections"
    for wire in wires[:: count // 50]:
        wire.send(raw)
        assert wire.read_response().text == "home"
    for wire in wires:
        wire.close()
    wait_until(lambda: server.socket_count() < 50, 10, "the closed connections to be noticed")


def test_slow_readers_do_not_disturb_others(launch, folder):
    server = launch(folder, "--threads", "1")
    slow = []
    for _ in range(50):
        slow.append(server.connect(receive_buffer=4096))
        slow[-1].request("/big.bin")
    start = time.monotonic()
    for _ in range(200):
        assert_still_serving(server)
    assert time.monotonic() - start < 20
    assert server.resident_kib() < 400_000
    for wire in slow[:2]:
        assert wire.read_response().body == BIG


def test_mixed_clients(launch, folder):
    server = launch(folder)
    before = server.socket_count()
    kinds = [("/", 6), ("/a.txt", 4), ("/middle.bin", 4), ("/big.bin", 1), ("/missing", 2)]
    crowds = [Traffic(server.main.address, path, clients) for path, clients in kinds]
    for crowd in crowds:
        crowd.__enter__()
    stop = threading.Event()

    def vandal():
        """Opens, sends half a request or rubbish, and vanishes."""
        for i in range(100_000):
            if stop.is_set():
                return
            with Wire(server.main.address) as wire:
                wire.send(
                    (b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /", b"\x16\x03", b"")[i % 4]
                )
            time.sleep(0.002)

    thread = threading.Thread(target=vandal)
    thread.start()
    time.sleep(2)  # the length of the crowd's stay, not a wait for anything
    stop.set()
    thread.join()
    for crowd in crowds:
        crowd.stop()
        crowd.assert_clean()
        assert crowd.closed_between == 0
    assert crowds[3].bodies <= {BIG}
    assert crowds[2].bodies == {FILES["middle.bin"]}
    wait_until(lambda: server.socket_count() <= before, 5, "the end of all connections")


def test_many_connections_at_once(launch, folder):
    server = launch(folder)
    wires = []
    for _ in range(500):
        wires.append(server.connect())
        wires[-1].request("/middle.bin")
    for wire in wires:
        assert wire.read_response().body == FILES["middle.bin"]


def test_connection_churn_leaves_nothing_behind(launch, folder, slowness):
    server = launch(folder)
    for _ in range(50):
        assert_still_serving(server)
    sockets, resident = server.socket_count(), server.resident_kib()
    for _ in range(1500):
        assert_still_serving(server)
    wait_until(lambda: server.socket_count() <= sockets, 5, "closed sockets")
    assert slowness > 1 or server.resident_kib() < resident + 4096


SLOW_ATTACKS = {
    "slowloris": ["-H", "-i", "1"],
    "slow body": ["-B", "-i", "1", "-s", "100000"],
    "slow read": ["-X", "-w", "16", "-y", "64", "-n", "1", "-z", "16", "-k", "2"],
}


@pytest.mark.parametrize("kind", SLOW_ATTACKS)
def test_slow_attacks(launch, folder, kind, slowness):
    tool = shutil.which("slowhttptest")
    if tool is None:
        pytest.skip("slowhttptest is not installed")
    server = launch(folder, "--header-timeout", "3s", "--io-timeout", "3s")
    target = server.url("/big.bin" if kind == "slow read" else "/")
    command = [
        tool,
        *SLOW_ATTACKS[kind],
        "-c",
        "300",
        "-r",
        "300",
        "-l",
        "4",
        "-p",
        "2",
        "-u",
        target,
    ]
    attack = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        served = 0
        while attack.poll() is None:
            assert_still_serving(server, timeout=5 * slowness)
            served += 1
            time.sleep(0.05)
    finally:
        attack.kill()
        output = re.sub(rb"\x1b\[[0-9;]*m", b"", attack.communicate()[0]).decode("utf-8", "replace")
    assert served > 20 / slowness
    assert "service available:   NO" not in output, output[-2000:]
    assert "YES" in output


def assert_same_or_zero(body):
    """What was on its way when the file was cut may have become zeros: the kernel sends pages of
    the file itself. Other bytes would come from a wrong place."""
    for start in range(0, len(body), 512):
        block = body[start : start + 512]
        right = BIG[start : start + len(block)]
        assert block == right or all(b in (r, 0) for b, r in zip(block, right)), start


def cut_transfer(wire, expected_length):
    """Reads until the transfer breaks; returns what came."""
    body = bytearray()
    try:
        while len(body) < expected_length:
            data = wire.read_some(1 << 20)
            if not data:
                break
            body += data
    except OSError:
        pass
    return bytes(body)


@pytest.mark.parametrize("kind", ["directory", "tar"])
def test_a_file_truncated_while_it_is_sent(launch, tmp_path, kind):
    """The client sees a broken transfer, never bytes of something else; the server lives on."""
    if kind == "tar":
        source = write_tar(tmp_path / "site.tar", FILES)
        victim = source
    else:
        source = build_site(tmp_path / "site", FILES)
        victim = source / "big.bin"
    server = launch(source)
    wires = [server.connect(receive_buffer=65536) for _ in range(4)]
    for wire in wires:
        wire.request("/big.bin")
        assert wire.read_head().length == len(BIG)
    os.truncate(victim, 4096)
    for wire in wires:
        body = cut_transfer(wire, len(BIG))
        assert len(body) < len(BIG)
        assert_same_or_zero(body)
    assert_still_serving(server)
    assert server.get("/big.bin").status == 500
    assert server.get("/middle.bin").body == FILES["middle.bin"]


def test_a_tar_replaced_without_reload(launch, tmp_path):
    """The old archive stays open: its content is served until a reload."""
    source = write_tar(tmp_path / "site.tar", FILES)
    server = launch(source)
    replace_atomically(source, tar_bytes({"index.html": "new"}))
    assert server.get("/big.bin").body == BIG
    assert server.get("/").text == "home"


@pytest.mark.parametrize("kind", ["removed", "overwritten"])
def test_a_big_file_gone_from_a_directory(launch, folder, kind):
    server = launch(folder)
    if kind == "removed":
        (folder / "big.bin").unlink()
    else:
        (folder / "big.bin").write_bytes(b"something else")
    response = server.get("/big.bin")
    assert response.status in (200, 500)
    if response.status == 200:
        assert response.body == BIG
    assert_still_serving(server)


def test_descriptors_run_out(launch, folder):
    """At the limit the oldest idle connections make room; nobody is locked out."""
    server = launch(folder, "--threads", "1", command=["prlimit", "--nofile=256:256"])
    for _ in range(400):
        server.connect()
    assert_still_serving(server, timeout=10)
    wires = [server.connect() for _ in range(20)]
    for wire in wires:
        assert wire.fetch("/").text == "home"


def test_readers_at_many_speeds(launch, folder):
    server = launch(folder)
    results = {}

    def reader(pieces):
        with Wire(server.main.address) as wire:
            wire.request("/middle.bin")
            length = wire.read_head().length
            chunk = length // pieces + 1
            results[pieces] = read_slowly(wire, length, chunk, lambda: time.sleep(0.002))

    threads = [threading.Thread(target=reader, args=(n,)) for n in (1, 7, 64, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {1, 7, 64, 300}
    assert all(body == FILES["middle.bin"] for body in results.values())


def test_every_worker_serves(loop, launch, folder):
    """Connections spread over the workers' own listeners."""
    server = launch(folder, "--threads", "3")
    for _ in range(60):
        assert_still_serving(server)
    threads = os.listdir(f"/proc/{server.pid}/task")
    assert len(threads) >= 4
    busy = 0
    for thread in threads:
        with open(f"/proc/{server.pid}/task/{thread}/status", encoding="ascii") as status:
            text = status.read()
        busy += int(re.search(r"voluntary_ctxt_switches:\t(\d+)", text).group(1)) > 5
    assert busy >= 3


def test_two_servers_do_not_disturb_each_other(loop, launch, folder):
    first, second = launch(folder), start_server(loop, folder).ready()
    wire = second.connect()
    assert wire.fetch("/").text == "home"
    second.stop()
    assert first.is_running()
    assert_still_serving(first)
