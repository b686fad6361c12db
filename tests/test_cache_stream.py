"""`tarn cache`: many clients of a download that is under way."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.cache import Stream, check_folder, content_files, target, usage
from harness.client import request_bytes
from harness.origin import Raw, Serve
from harness.server import wait_until
from harness.site import pattern

BIG = pattern(8 << 20, seed=3)
SMALL = pattern(100_000, seed=4)
KINDS = ["length", "chunked", "close"]


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module("--threads", "2", "--download-retry-time", "0")


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("framing", KINDS)
def test_one_download_for_many_at_once(cache, origin, framing):
    """On both workers; all of them ask before the origin says anything."""
    gate = threading.Event()
    url = origin.add(Serve(BIG, head_gate=gate, framing=framing))
    before = cache.figures()["statistics_requests"]
    wires = [cache.ask(url) for _ in range(40)]
    cache.wait_figure("statistics_requests", before + 40)
    gate.set()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda wire: self_contained(Stream(wire)), wires))
    assert {body for _, body in answers} == {digest(BIG)}
    assert sorted(kind for kind, _ in answers) == ["miss"] + ["stream"] * 39
    assert origin.count(url) == 1


def self_contained(stream):
    return stream.x_cache, digest(stream.rest())


@pytest.mark.parametrize("framing", KINDS)
def test_the_first_byte_does_not_wait_for_the_last(cache, origin, framing):
    first, later = threading.Event(), threading.Event()
    url = origin.add(Serve(SMALL, framing=framing, gates={1: first, 50_000: later}))
    streams = [cache.open(url) for _ in range(5)]
    for stream in streams:
        assert stream.read(1) == SMALL[:1]
    first.set()
    for stream in streams:
        assert stream.read(49_999) == SMALL[1:50_000]
    late = cache.open(url)
    assert late.read(50_000) == SMALL[:50_000]
    assert late.x_cache == "stream"
    assert late.wire.is_quiet(0.05), "bytes that the origin has not sent"
    later.set()
    assert {stream.rest() for stream in [*streams, late]} == {SMALL[50_000:]}
    assert origin.count(url) == 1


def test_the_head_does_not_wait_for_the_content(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(SMALL, gates={0: gate}))
    answer = cache.open(url)
    assert (answer.status, answer.length) == (200, len(SMALL))
    head = cache.open(url, method="HEAD")
    assert (head.status, head.length, head.rest()) == (200, len(SMALL), b"")
    gate.set()
    assert answer.rest() == SMALL


def test_an_unknown_length_is_chunked_then_known(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(SMALL, framing="chunked", gates={10: gate}))
    growing = cache.open(url)
    assert growing.get("Content-Length") is None
    assert growing.get("Transfer-Encoding") == "chunked"
    gate.set()
    assert growing.rest() == SMALL
    cache.wait_idle()
    assert cache.fetch(url).length == len(SMALL)


@pytest.mark.parametrize("framing", KINDS)
def test_empty_content(cache, origin, framing):
    url = origin.add(Serve(b"", framing=framing))
    assert cache.fetch(url).body == b""
    cache.wait_idle()
    again = cache.fetch(url)
    assert (again.x_cache, again.length, again.body) == ("hit", 0, b"")


def test_a_client_of_http_1_0_gets_the_end_as_an_end(cache, origin):
    """Unknown length without chunks: what is whole ends in order, what is cut ends by a reset."""
    known = threading.Event()
    whole = origin.add(Serve(SMALL, framing="chunked", gates={10: known}))
    with cache.ask(whole, version="1.0") as wire:
        response = wire.read_head()
        known.set()
        assert response.get("Transfer-Encoding") is None and response.length is None
        assert wire.read_to_end() == SMALL
    gate = threading.Event()
    cut = origin.add(Serve(SMALL, framing="chunked", cut=60_000, gates={50_000: gate}))
    with cache.ask(cut, version="1.0") as wire:
        Stream(wire).read(50_000)
        gate.set()
        with pytest.raises(ConnectionResetError):
            wire.read_to_end()


def test_a_slow_reader_holds_up_nobody(cache, origin):
    url = origin.add(Serve(BIG))
    slow = cache.connect(receive_buffer=4096)
    slow.send(request_bytes("GET", target(url)))
    stream = Stream(slow)
    assert stream.read(1) == BIG[:1]
    for _ in range(3):
        assert digest(cache.fetch(url).body) == digest(BIG)
    cache.wait_idle()
    assert stream.rest() == BIG[1:]


def test_who_leaves_changes_nothing_for_others(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(SMALL, gates={30_000: gate}))
    streams = [cache.open(url) for _ in range(6)]
    for stream in streams:
        stream.read(30_000)
    for stream in streams[:3]:
        stream.wire.close()
    gate.set()
    assert {stream.rest() for stream in streams[3:]} == {SMALL[30_000:]}
    assert origin.count(url) == 1


@pytest.mark.parametrize("at", [None, 30_000])
def test_when_the_last_one_leaves_it_goes_on(cache, origin, at):
    """Whether the origin has answered already or not."""
    gate = threading.Event()
    held = {"head_gate": gate} if at is None else {"gates": {at: gate}}
    url = origin.add(Serve(SMALL, **held))
    wire = cache.ask(url)
    origin.wait_count(url, 1)
    if at:
        Stream(wire).read(at)
    wire.close()
    gate.set()
    origin.wait_done(url)
    cache.wait_idle()
    answer = cache.fetch(url)
    assert (answer.x_cache, answer.body) == ("hit", SMALL)
    assert origin.count(url) == 1


def test_abandon_after(launch_cache, origin):
    """What nobody has waited for so long ends; who comes back in time, or stays, gets the rest."""
    cache = launch_cache("--abandon-after", "1s")
    gate = threading.Event()
    held = Serve(SMALL, gates={30_000: gate})
    left, left_and_back, stayed = origin.add(held, Serve(SMALL)), origin.add(held), origin.add(held)
    streams = {url: cache.open(url) for url in (left, left_and_back, stayed)}
    for url, stream in streams.items():
        assert stream.read(30_000) == SMALL[:30_000]
        if url != stayed:
            stream.wire.close()
    again = cache.open(left_and_back)
    assert again.read(30_000) == SMALL[:30_000]
    back = cache.figures()["timestamp"]
    cache.wait_line(f"{left}: 503")
    wait_until(lambda: cache.figures()["timestamp"] >= back + 3, 10, "more than two seconds")
    assert len(content_files(cache.folder)) == 2
    gate.set()
    assert again.rest() == streams[stayed].rest() == SMALL[30_000:]
    assert cache.fetch(left).body == SMALL
    assert [origin.count(url) for url in (left, left_and_back, stayed)] == [2, 1, 1]


def test_others_wait_in_line(launch_cache, origin):
    cache = launch_cache("--max-downloads", "2")
    gates = [threading.Event() for _ in range(5)]
    urls = [origin.add(Serve(SMALL, head_gate=gate)) for gate in gates]
    wires = []
    for url in urls:
        wires.append(cache.ask(url))
        cache.wait_figure("statistics_requests", len(wires))
    cache.wait_figure("resources_downloading", 2)
    cache.wait_figure("resources_scheduled", 3)
    origin.wait_count(urls[0], 1)
    origin.wait_count(urls[1], 1)
    assert [origin.count(url) for url in urls] == [1, 1, 0, 0, 0]
    gates[1].set()
    assert Stream(wires[1]).rest() == SMALL
    origin.wait_count(urls[2], 1)
    assert origin.count(urls[3]) == 0
    for gate in gates:
        gate.set()
    for wire in (wires[0], *wires[2:]):
        assert Stream(wire).rest() == SMALL
    cache.wait_figure("resources_scheduled", 0)


def test_one_that_fails_makes_room_in_the_line(launch_cache, origin):
    cache = launch_cache("--max-downloads", "1", "--download-retry-time", "0")
    urls = [origin.add(Raw()), origin.add(Serve(b"", 404)), origin.add(Serve(SMALL))]
    wires = [cache.ask(url) for url in urls]
    assert [Stream(wire).status for wire in wires] == [502, 404, 200]


def test_hits_do_not_wait_for_downloads(launch_cache, origin):
    cache = launch_cache("--max-downloads", "1")
    url = origin.add(Serve(SMALL))
    cache.fetch(url)
    cache.wait_idle()
    gate = threading.Event()
    held = cache.ask(origin.add(Serve(SMALL, head_gate=gate)))
    cache.wait_figure("resources_downloading", 1)
    for _ in range(20):
        assert cache.fetch(url).x_cache == "hit"
    gate.set()
    assert Stream(held).rest() == SMALL


def test_many_resources_at_once(launch_cache, origin):
    bodies = [BIG[i : i + i * 400] for i in range(200)]
    contents = {origin.add(Serve(body)): body for body in bodies}
    cache = launch_cache("--max-downloads", "50")
    with ThreadPoolExecutor(24) as pool:
        answers = pool.map(lambda url: (url, cache.fetch(url).body), list(contents) * 3)
        assert not [url for url, body in answers if body != contents[url]]
    assert all(origin.count(url) == 1 for url in contents)
    cache.wait_idle()
    assert cache.figures()["disk_usage"] == usage(cache.folder) == sum(map(len, bodies))
    cache.stop()
    assert set(check_folder(cache.folder)) == set(contents)


def test_part_file_then_file(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(SMALL, gates={30_000: gate}))
    before = set(content_files(cache.folder))
    stream = cache.open(url)
    stream.read(30_000)
    (part,) = set(content_files(cache.folder)) - before
    name = digest(url.encode())
    assert part.startswith(f"{name[:2]}/{name[2:4]}/{name}.") and part.endswith(".part")
    gate.set()
    stream.rest()
    assert set(content_files(cache.folder)) - before == {part[: -len(".part")]}
