"""`tarn cache`: kill -9 at any moment loses what was unfinished, and nothing else goes wrong.

Clients ask at random for resources that change now and then, in a cache that is too small for all
of them, so that downloads, revalidations, replacements and evictions are all under way when the
process dies.
"""

import os
import random
import signal
import threading
import time

import pytest

from conftest import TEST_SECONDS
from harness.cache import CONTENT, Broken, Stream, content_files, in_index, target, usage
from harness.client import Wire, request_bytes
from harness.origin import Serve
from harness.server import wait_until
from harness.site import pattern

KILLS = 200 if os.environ.get("TARN_LONG_TESTS") == "1" else 20
CLIENTS = 6
QUOTA = 3 << 20


class Moving:
    """A resource whose content changes every few requests; it remembers all that it has been."""

    def __init__(self, number, chance):
        self.number = number
        self.size = chance.choice([0, 1, 5000, 70_000, 200_000, 400_000])
        self.framing = chance.choice(["length", "length", "chunked", "close"])
        self.rate = chance.choice([None, None, 3_000_000])
        self.cut = self.size // 2 if chance.random() < 0.2 else None
        self.lock = threading.Lock()
        self.asked = 0

    def content(self, version):
        return pattern(self.size + version, seed=self.number * 1000 + version)

    def __call__(self, exchange):
        with self.lock:
            self.asked += 1
            version = self.asked // 4
            cut = self.cut if self.asked % 3 == 0 and self.framing != "close" else None
        Serve(
            self.content(version), etag=f'"{version}"', framing=self.framing, rate=self.rate, cut=cut
        )(exchange)

    def is_right(self, tag, body):
        return body == self.content(int(tag.strip('"')))


class Crowd:
    """Clients that ask until they are told that the server has gone."""

    def __init__(self, cache, resources, seed):
        self.cache, self.resources = cache, resources
        self.wrong, self.whole, self.broken = [], 0, 0
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._client, args=(random.Random(seed * 100 + i),))
            for i in range(CLIENTS)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a client hangs"

    def _client(self, chance):
        while not self.over.is_set():
            url = chance.choice(list(self.resources))
            more = {"ttl": "1s"} if chance.random() < 0.5 else {}
            try:
                with Wire(self.cache.main.address, 15) as wire:
                    wire.send(request_bytes("GET", target(url, **more)))
                    self._check(url, Stream(wire))
            except (OSError, AssertionError, Broken):
                self.broken += 1  # closed before a head, or refused: the server is gone

    def _check(self, url, stream):
        if stream.status != 200:
            if stream.status not in (502, 503, 507):
                self.wrong.append((url, stream.head))
            return
        body = stream.rest()
        if self.resources[url].is_right(stream.get("ETag"), body):
            self.whole += 1
        else:
            self.wrong.append((url, stream.head, len(body)))


def known_rows(folder):
    """{file name's end: length} in the index."""
    found = in_index(folder, "SELECT id, len FROM entry")
    return {f".{number:016x}": length for number, length in found}


def assert_consistent(cache):
    """Just after the start: every file is in the index, every entry has its file, and the account
    is that of the disk."""
    seen = {}

    def agree():
        files = content_files(cache.folder)
        seen["files"] = {path[-17:]: size for path, size in files.items()}
        seen["rows"] = known_rows(cache.folder)
        assert all(CONTENT.fullmatch(path) for path in files), files
        return seen["files"] == seen["rows"]

    try:
        wait_until(agree, 5, "the index and the directory to agree")
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    figures = cache.figures()
    assert figures["disk_usage"] == usage(cache.folder)
    assert figures["resources_successes"] == len(seen["rows"])
    assert figures["resources_downloading"] == figures["resources_scheduled"] == 0


def assert_content_is_right(cache, resources):
    """Every entry is a hit, and has the right bytes."""
    urls = [url for (url,) in in_index(cache.folder, "SELECT url FROM entry")]
    with cache.connect() as wire:
        for url in urls:
            wire.request(target(url))
            stream = Stream(wire, keep=True)
            assert stream.x_cache == "hit", url
            assert resources[url].is_right(stream.get("ETag"), stream.rest()), url
    return len(urls)


def test_killed_again_and_again(launch_cache, origin):
    signal.alarm(TEST_SECONDS * KILLS // 20)  # the watchdog, as far as the kills need
    chance = random.Random(2026)
    resources = {}
    for number in range(40):
        resource = Moving(number, chance)
        resources[origin.add(resource)] = resource
    args = ("--quota", str(QUOTA), "--quota-clean", "100", "--threads", "2", "--max-downloads", "8")
    cache = launch_cache(*args)
    whole = kept = 0
    for kill in range(KILLS):
        crowd = Crowd(cache, resources, kill)
        with crowd:
            time.sleep(chance.uniform(0.02, 0.3))  # the random moment
            cache.kill()
        assert not crowd.wrong, crowd.wrong
        whole += crowd.whole
        cache = launch_cache(*args, folder=cache.folder)
        assert_consistent(cache)
        assert cache.figures()["disk_usage"] <= QUOTA
        kept += assert_content_is_right(cache, resources)
    print(f"{KILLS} kills, {whole} whole answers, {kept} entries left by the dead")
    assert whole > KILLS and kept > KILLS, "nothing was tested"


def test_what_was_finished_stays(launch_cache, origin):
    """Killed when the index has written: the next process asks the origin for nothing."""
    contents = {origin.add(Serve(pattern(i * 999, seed=i))): i for i in range(50)}
    cache = launch_cache()
    for url in contents:
        assert cache.fetch(url).status == 200
    cache.wait_idle()
    wait_until(lambda: len(known_rows(cache.folder)) == 50, 10, "all rows")
    cache.kill()
    cache = launch_cache(folder=cache.folder)
    assert_consistent(cache)
    for url, i in contents.items():
        answer = cache.fetch(url)
        assert (answer.x_cache, answer.body) == ("hit", pattern(i * 999, seed=i))
    assert all(origin.count(url) == 1 for url in contents)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_killed_within_a_download(launch_cache, origin, framing):
    body = pattern(500_000, seed=77)
    url = origin.add(
        Serve(body, framing=framing, gates={300_000: threading.Event()}), Serve(body)
    )
    cache = launch_cache()
    stream = cache.open(url)
    assert stream.read(300_000) == body[:300_000]
    cache.process.kill()
    stream.until_broken()
    cache.kill()
    cache = launch_cache(folder=cache.folder)
    assert_consistent(cache)
    assert cache.figures()["disk_usage"] == 0
    assert cache.fetch(url).body == body
    cache.wait_idle()
