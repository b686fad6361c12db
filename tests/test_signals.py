"""Ending and reloading, with clients in the middle of their requests."""

import os
import signal
import time

import pytest

from harness.server import wait_until
from harness.site import MTIME, build_site, pattern, replace_atomically, tar_bytes, write_tar
from harness.traffic import Traffic, read_slowly

BIG = pattern(20 << 20, seed=1)
OTHER_BIG = pattern(20 << 20, seed=2)

# Two signals at the same moment may be one: a shell sends it to the group and to the process.
DISTINCT_SIGNALS = 0.3


@pytest.fixture
def folder(tmp_path):
    return build_site(tmp_path / "site", {"index.html": "one", "big.bin": BIG})


def stalled_download(server, path="/big.bin"):
    """A download whose client has read the head and then stopped."""
    wire = server.connect(receive_buffer=65536)
    wire.request(path)
    assert wire.read_head().length == len(BIG)
    return wire


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_idle_server_ends_at_once(launch, folder, signum):
    server = launch(folder)
    wires = [server.connect() for _ in range(5)]
    for wire in wires[1:]:
        assert wire.fetch("/").text == "one"
    start = time.monotonic()
    server.send(signum)
    assert server.wait_exit(5) == 0
    assert time.monotonic() - start < 3
    for wire in wires:
        wire.assert_closed(1)


def test_sigterm_finishes_downloads(launch, folder):
    server = launch(folder)
    wire = stalled_download(server)
    idle = server.connect()
    assert idle.fetch("/").status == 200
    server.send(signal.SIGTERM)
    idle.assert_closed(3)
    with pytest.raises(OSError):
        for _ in range(100):
            server.connect().close()
            time.sleep(0.05)
    assert server.is_running()
    body = read_slowly(wire, len(BIG), 1 << 20, lambda: time.sleep(0.005))
    assert body == BIG
    wire.assert_closed(5)
    assert server.wait_exit(5) == 0


def test_shutdown_timeout(launch, folder):
    server = launch(folder, "--shutdown-timeout", "700ms")
    stalled_download(server)
    start = time.monotonic()
    server.send(signal.SIGTERM)
    assert server.wait_exit(8) == 0
    assert 0.6 < time.monotonic() - start < 5


@pytest.mark.parametrize("delay", [[], ["--shutdown-delay", "20s"]], ids=["draining", "delaying"])
def test_second_signal_exits_at_once(launch, folder, delay):
    # It leaves without waiting for its threads; a thread sanitizer would call that a leak.
    server = launch(folder, *delay, env={"TSAN_OPTIONS": "report_thread_leaks=0"})
    wire = stalled_download(server)
    server.send(signal.SIGTERM)
    if delay:
        wait_until(lambda: server.get("/ready").status == 503, 3, "draining")
    else:
        wait_until(lambda: not can_connect(server), 3, "closed listeners")
    assert server.is_running()
    time.sleep(DISTINCT_SIGNALS)
    start = time.monotonic()
    server.send(signal.SIGTERM)
    code = server.wait_exit(5)
    assert time.monotonic() - start < 2
    assert code >= 0 or -code == signal.SIGTERM
    wire.close()


def can_connect(server):
    try:
        server.connect().close()
        return True
    except OSError:
        return False


def test_sigterm_under_load_fails_no_request(launch, folder):
    """As behind a load balancer: it stops opening connections when the server is not ready."""
    server = launch(folder, "--shutdown-delay", "1s")
    with Traffic(server.main.address, clients=6) as traffic:
        wait_until(lambda: traffic.answered > 200, what="traffic")
        server.send(signal.SIGTERM)
        wait_until(lambda: server.get("/ready").status == 503, 3, "draining")
        before = traffic.answered
        wait_until(lambda: traffic.answered > before + 100, what="traffic while draining")
        traffic.no_new_connections.set()
        assert server.wait_exit(10) == 0
    traffic.assert_clean()


def test_sigterm_cuts_no_answer_in_two(launch, folder):
    """Without a delay, with large answers: each one that began arrives whole."""
    server = launch(folder)
    with Traffic(server.main.address, "/big.bin", clients=3) as traffic:
        wait_until(lambda: traffic.answered >= 3, 30, "downloads")
        traffic.no_new_connections.set()
        server.send(signal.SIGTERM)
        assert server.wait_exit(20) == 0
    traffic.assert_clean()
    assert traffic.bodies == {BIG}


def test_sighup_swaps_the_content(launch, folder):
    server = launch(folder)
    with server.connect() as wire:
        first = wire.fetch("/")
        assert first.text == "one"
        (folder / "index.html").write_text("two")
        (folder / "new.txt").write_text("new")
        assert wire.fetch("/").text == "one"  # immutable until told
        assert wire.fetch("/new.txt").status == 404
        server.send(signal.SIGHUP)
        wait_until(lambda: wire.fetch("/").text == "two", what="new content on the same connection")
        assert wire.fetch("/new.txt").text == "new"
        assert wire.fetch("/", f"If-None-Match: {first.get('ETag')}").status == 200


def test_sighup_under_load_fails_no_request(launch, folder):
    server = launch(folder)
    allowed = {b"version %d" % i for i in range(20)} | {b"one"}
    with Traffic(server.main.address, clients=6, acceptable=lambda r: r.body in allowed) as traffic:
        for i in range(20):
            replace_atomically(folder / "index.html", b"version %d" % i)
            server.send(signal.SIGHUP)
            wait_until(lambda i=i: server.get("/").body == b"version %d" % i, what=f"version {i}")
    traffic.assert_clean()
    assert traffic.closed_between == 0, "a reload keeps every connection"
    assert len(traffic.bodies) > 5


def test_reloads_leak_nothing(launch, folder, slowness):
    server = launch(folder)

    def reload(i):
        replace_atomically(folder / "index.html", b"content %d" % i)
        server.send(signal.SIGHUP)
        wait_until(lambda: server.get("/").body == b"content %d" % i)

    for i in range(5):
        reload(i)
    descriptors, resident = server.descriptor_count(), server.resident_kib()
    for i in range(5, 30):
        reload(i)
    wait_until(lambda: server.descriptor_count() <= descriptors + 3, 5, "closed descriptors")
    # A sanitizer keeps freed memory, and looks for leaks itself at the end.
    assert slowness > 1 or server.resident_kib() < resident + 10_000


BREAKAGES = {
    "bad rules": lambda folder: (folder / "_redirects").write_text("/only-one-word\n"),
    "gone": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "empty": lambda folder: [p.unlink() for p in folder.iterdir()],
}


@pytest.mark.parametrize("kind", BREAKAGES)
def test_a_broken_new_site_keeps_the_old(launch, folder, kind):
    server = launch(folder)
    seen = len(server.lines)
    BREAKAGES[kind](folder)
    server.send(signal.SIGHUP)
    server.wait_line(r"(?i)reload", after=seen)
    assert server.get("/").text == "one"
    assert server.is_running()


def test_a_repaired_site_is_taken_again(launch, folder):
    server = launch(folder)
    (folder / "_headers").write_text("broken\n")
    seen = len(server.lines)
    server.send(signal.SIGHUP)
    server.wait_line(r"_headers.*\b1\b", after=seen)
    (folder / "_headers").write_text("/*\n  X-Fixed: yes\n")
    server.send(signal.SIGHUP)
    wait_until(lambda: server.get("/").get("X-Fixed") == "yes")


@pytest.mark.parametrize("how", ["touch", "write", "replace", "create"])
def test_reload_signal_file(launch, folder, tmp_path, how):
    trigger = tmp_path / "reload-now"
    if how != "create":
        trigger.write_text("0")
        os.utime(trigger, (MTIME, MTIME))
    server = launch(folder, "--reload-signal-file", trigger)
    (folder / "index.html").write_text("two")
    assert server.get("/").text == "one"
    if how == "touch":
        os.utime(trigger)
    elif how == "replace":
        replace_atomically(trigger, b"1")
    else:
        trigger.write_text("1")
    wait_until(lambda: server.get("/").text == "two", 6, "the reload")


def test_config_map_update(launch, tmp_path):
    """A ConfigMap mount changes by swapping one link; SIGHUP then serves the new files."""
    root = tmp_path / "mount"
    build_site(root / "..v1", {"index.html": "one"})
    (root / "..data").symlink_to("..v1")
    (root / "index.html").symlink_to("..data/index.html")
    server = launch(root)
    assert server.get("/").text == "one"
    build_site(root / "..v2", {"index.html": "two"})
    (root / "..tmp").symlink_to("..v2")
    os.replace(root / "..tmp", root / "..data")
    server.send(signal.SIGHUP)
    wait_until(lambda: server.get("/").text == "two")


@pytest.mark.parametrize("kind", ["directory", "tar"])
def test_running_downloads_keep_the_old_snapshot(launch, tmp_path, kind):
    old = {"index.html": "one", "big.bin": BIG}
    new = {"index.html": "two", "big.bin": OTHER_BIG}
    if kind == "tar":
        source = write_tar(tmp_path / "site.tar", old)
    else:
        source = build_site(tmp_path / "site", old)
    server = launch(source)
    wire = stalled_download(server)
    if kind == "tar":
        replace_atomically(source, tar_bytes(new))
    else:
        replace_atomically(source / "big.bin", OTHER_BIG)
        replace_atomically(source / "index.html", b"two")
    server.send(signal.SIGHUP)
    wait_until(lambda: server.get("/").text == "two")
    assert server.get("/big.bin").body == OTHER_BIG
    assert read_slowly(wire, len(BIG), 1 << 20, lambda: None) == BIG
    assert wire.fetch("/").text == "two"


def test_sighup_storm(launch, folder):
    server = launch(folder)
    with Traffic(server.main.address, clients=2) as traffic:
        for _ in range(200):
            server.send(signal.SIGHUP)
        (folder / "index.html").write_text("two")
        server.send(signal.SIGHUP)
        wait_until(lambda: server.get("/").text == "two")
    traffic.assert_clean()


def test_sigterm_during_a_reload(launch, folder):
    server = launch(folder)
    server.send(signal.SIGHUP)
    server.send(signal.SIGTERM)
    assert server.wait_exit(10) == 0


def test_sigpipe_and_others_are_harmless(launch, folder):
    server = launch(folder)
    server.send(signal.SIGPIPE)
    assert server.get("/").text == "one"
