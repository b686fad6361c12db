"""`tarn cache`: names to save under, a place in a site, TLS and HTTP/2, and the end."""

import signal
import threading

import pytest

from harness.cache import FETCH, Stream, check_folder, target
from harness.origin import Serve
from harness.server import wait_until
from harness.site import build_site, pattern
from harness.tls import curl

BODY = pattern(100_000, seed=43)


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module()


# Names.

NAMES = {
    "vmlinuz": 'filename="vmlinuz"',
    "a%20b.img": 'filename="a b.img"',
    "qu%22ote": 'filename="qu\\"ote"',
}


@pytest.mark.parametrize("name", NAMES)
def test_content_disposition(cache, origin, name):
    url = origin.add(Serve(BODY))
    for _ in range(2):
        answer = cache.fetch(url, path=f"{FETCH}/{name}")
        assert answer.get("Content-Disposition") == f"attachment; {NAMES[name]}"
        assert answer.body == BODY
    cache.wait_idle()
    assert cache.fetch(url).get("Content-Disposition") is None
    assert origin.count(url) == 1


def test_a_name_outside_ascii(cache, origin):
    answer = cache.fetch(origin.add(Serve(BODY)), path=f"{FETCH}/gr%C3%BC%C3%9Fe.txt")
    value = answer.get("Content-Disposition")
    assert value.startswith("attachment; filename=")
    assert "filename*=UTF-8''gr%C3%BC%C3%9Fe.txt" in value
    assert all(ord(char) < 128 for char in value)


TRICKS = ["..%2f..%2fetc%2fpasswd", "a%2Fb", "..%5c..%5cx", "x%0d%0aSet-Cookie:%20a=b", "%00x",
          "a%00.exe", "%e2%80%aetxt.exe", "%ff%fe", "a/b", "x;filename=evil"]  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_in_names(cache, origin, name):
    answer = cache.get(target(origin.add(Serve(BODY)), f"{FETCH}/{name}"))
    assert answer.get("Set-Cookie") is None
    if answer.status != 200:
        assert answer.status in (400, 404)
        return
    value = answer.get("Content-Disposition")
    plain = value.split("; filename*=")[0]
    assert plain.startswith('attachment; filename="') and plain.endswith('"')
    inner = plain[len('attachment; filename="') : -1].replace('\\"', "")
    assert not set(inner) & set('/\\"\r\n\0')
    assert "%2f" not in value.lower() and "%5c" not in value.lower()


# Where it is, and over what.


def test_mounted_in_a_site(launch_cache, origin, tmp_path):
    site = build_site(tmp_path / "site", {"index.html": "home", "api/v1/fetch": "a file"})
    cache = launch_cache("--cache-path", "/cache", site=site)
    url = origin.add(Serve(BODY))
    assert cache.get("/").text == "home"
    assert cache.get("/api/v1/fetch").text == "a file"
    assert cache.fetch(url, path=f"/cache{FETCH}").body == BODY
    assert cache.figures("/cache/api/v1/status/")["statistics_requests"] == 1
    assert cache.get("/cache/api/v1/health/").text.strip() == "ok"
    for path in ("/cachex", f"/cache{FETCH}ed", f"/cachex{FETCH}"):
        assert cache.get(path).status == 404
    assert cache.get("/cache/help/").status == 200


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_over_tls(launch_cache, origin, pair, version):
    cache = launch_cache("--tls-addr", "127.0.0.1:0", *pair.options, addr=False)
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={50_000: gate}))
    results = []

    def client():
        results.append(curl(cache, target(url), version, "--write-out", "%{stderr}%{http_version}"))

    clients = [threading.Thread(target=client) for _ in range(5)]
    for thread in clients:
        thread.start()
    origin.wait_count(url, 1)
    gate.set()
    for thread in clients:
        thread.join(20)
    assert [done.returncode for done in results] == [0] * 5
    assert {done.stdout for done in results} == {BODY}
    assert {done.stderr for done in results} == {b"2" if version == "--http2" else b"1.1"}
    assert origin.count(url) == 1
    part = curl(cache, target(url), version, "--range", "99990-")
    assert part.stdout == BODY[99_990:]


@pytest.mark.parametrize("version,codes", [("--http1.1", (18, 56)), ("--http2", (18, 56, 92))])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_break_over_tls_is_one(launch_cache, origin, pair, version, codes, framing):
    cache = launch_cache(
        *("--tls-addr", "127.0.0.1:0", *pair.options, "--download-retry-time", "0"), addr=False
    )
    gate = threading.Event()
    url = origin.add(Serve(BODY, cut=60_000, framing=framing, gates={1000: gate}))
    timer = threading.Timer(0, lambda: (origin.wait_count(url, 1), gate.set()))
    timer.start()
    done = curl(cache, target(url), version)
    timer.join()
    assert done.returncode in codes or (done.returncode == 0 and done.stdout.startswith(b"502"))
    assert BODY.startswith(done.stdout) or done.stdout.startswith(b"502")


def test_a_reload_disturbs_nobody(launch_cache, origin):
    cache = launch_cache()
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={50_000: gate}))
    reader, waiter = cache.open(url), cache.ask(origin.add(Serve(b"slow", head_gate=gate)))
    reader.read(50_000)
    lines = len(cache.lines)
    cache.send(signal.SIGHUP)
    cache.wait_line("reload", after=lines)
    gate.set()
    assert reader.rest() == BODY[50_000:]
    assert Stream(waiter).rest() == b"slow"
    assert cache.fetch(url).x_cache == "hit"


def test_health_while_it_ends(launch_cache, origin):
    """503 while it still listens, so that a balancer looks elsewhere; readers finish."""
    cache = launch_cache("--shutdown-delay", "1s")
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={50_000: gate}))
    reader = cache.open(url)
    reader.read(50_000)
    assert cache.get("/api/v1/health/").status == 200
    cache.send(signal.SIGTERM)
    wait_until(lambda: cache.get("/api/v1/health/").status == 503, 5, "the draining")
    gate.set()
    assert reader.rest() == BODY[50_000:]
    assert cache.wait_exit() == 0
    assert set(check_folder(cache.folder)) == {url}
