"""`tarn cache`: the quota is never exceeded, and who is in the way goes in the right order."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.cache import content_files, in_index, usage
from harness.origin import Serve
from harness.server import wait_until
from harness.site import pattern

KIB, MIB = 1 << 10, 1 << 20
PIECE = pattern(256 * KIB, seed=51)


def is_there(cache, url):
    """Whether it is a hit, asked without using it: by its file."""
    import hashlib

    name = hashlib.sha256(url.encode()).hexdigest()
    return any(name in path for path in content_files(cache.folder))


def store(cache, url):
    answer = cache.fetch(url)
    assert answer.status == 200, answer.response
    cache.wait_idle()
    return answer


def test_the_least_recently_used_goes(launch_cache, origin):
    cache = launch_cache("--quota", "1M", "--quota-clean", "100")
    a, b, c, d, e, f = (origin.add(Serve(PIECE)) for _ in range(6))
    for url in (a, b, c, d):
        store(cache, url)
    assert cache.figures()["disk_usage"] == MIB
    for url in (a, c):
        assert cache.fetch(url, method="HEAD").x_cache == "hit"
    store(cache, e)
    assert [is_there(cache, url) for url in (a, b, c, d, e)] == [True, False, True, True, True]
    store(cache, f)
    assert [is_there(cache, url) for url in (a, c, d, e, f)] == [True, True, False, True, True]
    assert cache.figures()["disk_usage"] == MIB == usage(cache.folder)


def test_the_order_survives_a_restart(launch_cache, origin):
    args = ("--quota", "1M", "--quota-clean", "100")
    cache = launch_cache(*args)
    urls = [origin.add(Serve(PIECE)) for _ in range(4)]
    for url in urls:
        store(cache, url)
    cache.stop()
    for used, url in zip((400, 100, 300, 200), urls):
        in_index(cache.folder, "UPDATE entry SET last_used = ? WHERE url = ?", used, url)
    cache = launch_cache(*args, folder=cache.folder)
    store(cache, origin.add(Serve(PIECE)))
    store(cache, origin.add(Serve(PIECE)))
    assert [is_there(cache, url) for url in urls] == [True, False, True, False]


def test_use_is_remembered(launch_cache, origin):
    """A hit moves the time of use, also across an end."""
    cache = launch_cache()
    url = origin.add(Serve(PIECE))
    store(cache, url)
    cache.stop()
    in_index(cache.folder, "UPDATE entry SET last_used = 100, uses = 1")
    cache = launch_cache(folder=cache.folder)
    for _ in range(3):
        assert cache.fetch(url).x_cache == "hit"
    cache.stop()
    ((used, uses),) = in_index(cache.folder, "SELECT last_used, uses FROM entry")
    assert abs(used - time.time()) < 60 and uses == 4


def test_cleaning_by_itself(launch_cache, origin):
    """Above 75 % it goes down without being asked."""
    cache = launch_cache("--quota", "1M")
    piece = PIECE[: 200 * KIB]
    urls = [origin.add(Serve(piece)) for _ in range(5)]
    for url in urls:
        store(cache, url)
    cache.wait_figure("disk_usage", 3 * len(piece))
    assert usage(cache.folder) == 3 * len(piece)
    assert [is_there(cache, url) for url in urls] == [False, False, True, True, True]


def test_larger_than_the_quota(launch_cache, origin):
    """507 at once, and nobody has to go for what cannot fit anyway."""
    cache = launch_cache("--quota", "1M", "--quota-clean", "100")
    small, large = origin.add(Serve(PIECE)), origin.add(Serve(PIECE * 5))
    store(cache, small)
    start = time.monotonic()
    answer = cache.fetch(large)
    assert answer.status == 507 and time.monotonic() - start < 2
    assert cache.fetch(small).x_cache == "hit"
    assert cache.figures()["disk_usage"] == len(PIECE)


def test_a_declared_length_counts_from_the_start(launch_cache, origin):
    cache = launch_cache("--quota", "1M", "--quota-clean", "100")
    gate = threading.Event()
    held = origin.add(Serve(PIECE * 3, gates={10: gate}))
    other, fits = origin.add(Serve(PIECE * 2)), origin.add(Serve(PIECE))
    stream = cache.open(held)
    stream.read(10)
    assert cache.figures()["disk_usage"] == 3 * len(PIECE)
    assert cache.fetch(other).status == 507
    assert cache.fetch(fits).status == 200
    gate.set()
    assert stream.rest() == (PIECE * 3)[10:]
    cache.wait_idle()
    assert cache.fetch(other).status == 200
    assert not is_there(cache, held)


def test_an_unknown_length_counts_as_it_grows(launch_cache, origin):
    cache = launch_cache("--quota", "4M", "--quota-clean", "100")
    old = [origin.add(Serve(PIECE * 4)) for _ in range(3)]
    for url in old:
        store(cache, url)
    fits = origin.add(Serve(PIECE * 10, framing="chunked"))
    assert store(cache, fits).body == PIECE * 10
    assert [is_there(cache, url) for url in old] == [False, False, True]
    endless = origin.add(Serve(PIECE * 40, framing="chunked"))
    stream = cache.open(endless)
    if stream.status == 200:
        assert (PIECE * 40).startswith(stream.until_broken())
    else:
        assert stream.status == 507
    cache.wait_account()
    assert usage(cache.folder) <= 4 * MIB
    assert store(cache, old[0]).body == PIECE * 4


def test_who_is_being_read_stays(launch_cache, origin):
    cache = launch_cache("--quota", "20M", "--quota-clean", "100")
    big = pattern(16 * MIB, seed=52)
    first, second, small = (origin.add(Serve(data)) for data in (big, PIECE * 32, PIECE))
    store(cache, first)
    store(cache, small)
    reader = cache.open(first)
    reader.read(1)
    start = time.monotonic()
    assert cache.fetch(second).status == 507
    assert time.monotonic() - start < 2
    assert reader.rest() == big[1:]
    wait_until(lambda: cache.fetch(second).status == 200, 10, "room")
    assert not is_there(cache, first)


def test_no_limit(launch_cache, origin):
    """0 is none; and it wipes nothing."""
    cache = launch_cache("--quota", "0")
    urls = [origin.add(Serve(PIECE)) for _ in range(6)]
    for url in urls:
        store(cache, url)
    cache.stop()
    cache = launch_cache("--quota", "0", folder=cache.folder)
    figures = cache.figures()
    assert figures["disk_usage"] == 6 * len(PIECE)
    assert (figures["disk_quota"], figures["disk_usage_percent"]) == (0, 0)
    assert all(cache.fetch(url).x_cache == "hit" for url in urls)


def test_a_smaller_quota_at_the_next_start(launch_cache, origin):
    cache = launch_cache("--quota", "0")
    for _ in range(8):
        store(cache, origin.add(Serve(PIECE)))
    cache.stop()
    cache = launch_cache("--quota", "1M", "--quota-clean", "100", folder=cache.folder)
    assert usage(cache.folder) <= MIB
    assert cache.figures()["disk_usage"] == usage(cache.folder)
    assert cache.figures()["resources_successes"] == 4


def test_a_failed_download_gives_back_what_it_took(launch_cache, origin):
    cache = launch_cache("--quota", "1M", "--download-retry-time", "0", "--quota-clean", "100")
    for step in (Serve(PIECE * 3, cut=1000), Serve(PIECE * 3, cut=len(PIECE), framing="chunked")):
        for _ in range(3):
            status, _, whole = cache.receive(origin.add(step))
            assert not whole or status == 502
            cache.wait_figure("disk_usage", 0)
            assert usage(cache.folder) == 0
    assert cache.fetch(origin.add(Serve(PIECE * 4))).status == 200


def disk_blocks(folder):
    """Bytes that the content files occupy, each file once."""
    found = {}
    for base, _, names in os.walk(folder):
        if base == str(folder):
            continue
        for name in names:
            status = os.lstat(os.path.join(base, name))
            found[status.st_ino] = max(status.st_blocks * 512, status.st_size)
    return sum(found.values())


class Sampler:
    """Looks at the directory again and again; the process stands still meanwhile, so that what is
    seen was there at one moment."""

    def __init__(self, cache):
        self.cache, self.most, self.count = cache, 0, 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def _is_stopped(self):
        with open(f"/proc/{self.cache.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"

    def _run(self):
        while not self.stopping.wait(0.01):
            self.cache.send(signal.SIGSTOP)
            try:
                while not self._is_stopped():
                    pass
                self.most = max(self.most, disk_blocks(self.cache.folder))
                self.count += 1
            finally:
                self.cache.send(signal.SIGCONT)


def leave_early(cache, url):
    with cache.ask(url) as wire:
        try:
            wire.read_some(1)
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("clean", ["75", "100"])
def test_never_over_the_quota(launch_cache, origin, clean):
    """Random resources of all framings from many clients, some of whom leave, some fail."""
    quota = 4 * MIB
    cache = launch_cache(
        *("--quota", "4M", "--quota-clean", clean, "--threads", "2", "--max-downloads", "6"),
        *("--download-retry-time", "0"),
    )
    chance = random.Random(7)
    contents = {}
    for i in range(120):
        data = pattern(4096 * chance.randint(1, 200), seed=100 + i)
        framing = chance.choice(["length", "length", "chunked", "close"])
        cut = len(data) // 2 if i % 10 == 0 and framing != "close" else None
        contents[origin.add(Serve(data, framing=framing, cut=cut))] = data
    most_said = []

    def client(seed):
        mine = random.Random(seed)
        right = full = 0
        for _ in range(40):
            url = mine.choice(list(contents))
            if mine.random() < 0.1:
                leave_early(cache, url)
                continue
            status, data, whole = cache.receive(url)
            full += status == 507
            right += status == 200 and whole
            assert status in (200, 502, 507, None)
            assert status != 200 or (data == contents[url] if whole else
                                     contents[url].startswith(data))  # fmt: skip
            most_said.append(cache.figures()["disk_usage"])
        return right, full

    with Sampler(cache) as sampler, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(client, range(8)))
    assert sampler.count > 20
    assert sampler.most <= quota, f"{sampler.most} on the disk"
    assert max(most_said) <= quota
    assert sampler.most > quota // 2, "nothing was tested"
    assert sum(right for right, _ in results) > 60, results
    cache.wait_account()
