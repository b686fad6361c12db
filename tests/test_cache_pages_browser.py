"""The cache's web pages in Chromium: what people see, what moves, what is purged."""

import threading
from urllib.parse import quote

import pytest

from harness.browser import complaints, set_scheme, set_scripts, set_width, start_browser
from harness.client import HOST
from harness.origin import Serve
from harness.server import wait_until
from harness.site import pattern

PAGES = ["/", "/?url=https://storage.example.com/builds/1/Image.gz&ttl=1d&name=Image.gz",
         "/?url=x&ttl=x&name=/", "/help/", "/statistics/", *(f"/resources/{tab}/" for tab in
         ("successes", "downloading", "scheduled", "failures"))]  # fmt: skip
BODY = pattern(1 << 20, seed=9)
TOKEN = "s3cret"
EVIL = "/<img/src=x/onerror=evil()>'\"&amp;</script><script>evil()</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    running = start_browser(tmp_path_factory.mktemp("chromium"))
    yield running
    running.quit()


@pytest.fixture(autouse=True)
def fresh(browser):
    set_scripts(browser, True)
    set_width(browser, 1280)
    set_scheme(browser, "light")
    complaints(browser)
    yield
    said = complaints(browser)
    browser.get("about:blank")  # a page that polls a server that has ended would complain
    assert said == []


@pytest.fixture(scope="module")
def cache(launch_cache_module, origin):
    cache = launch_cache_module("--purge-token", TOKEN, "--negative-ttl", "1h",
                                "--download-retry-time", "0", "--max-downloads", "2")  # fmt: skip
    for i in range(3):
        deep = "/".join(["a-rather-long-name-of-a-folder"] * 9)
        cache.fetch(origin.put(f"/{deep}/{i}/rootfs.ext4.xz", Serve(b"x" * (i + 1))))
    for path, status in ((EVIL, 200), (EVIL + "/gone", 404)):
        origin.put(quote(path, safe="/'()&;=,"), Serve(BODY, status=status))
        assert cache.fetch(origin.url(path) + "?q=<b>").status == status
    return cache


def go(browser, cache, path):
    browser.get(f"http://{HOST}:{cache.port}{path}")


def one(browser, selector):
    return browser.find_element("css selector", selector)


def every(browser, selector):
    return browser.find_elements("css selector", selector)


def script(browser, code, *args):
    return browser.execute_script(f"return {code}", *args)


def wait_for(browser, code, what=None, timeout=15):
    wait_until(lambda: script(browser, code), timeout, what or code)


SMALLEST = """Math.min(...[...document.querySelectorAll("a,p,td,text,dt")]
    .map(e => parseFloat(getComputedStyle(e).fontSize)))"""


@pytest.mark.parametrize("path", PAGES)
def test_fits_every_screen(cache, browser, path):
    for width in (320, 390, 768, 1280):
        set_width(browser, width)
        go(browser, cache, path)
        assert script(browser, "document.documentElement.scrollWidth") <= width, width
        smallest = script(browser, SMALLEST)
        assert smallest >= 12, f"letters of {smallest} px"


OVERLAPS = """(() => {
    for (const row of document.querySelectorAll(".list tr")) {
        const boxes = [...row.cells].map(c => c.getBoundingClientRect()).filter(b => b.width);
        for (const a of boxes) for (const b of boxes)
            if (a != b && a.left < b.right - 1 && b.left < a.right - 1
                && a.top < b.bottom - 1 && b.top < a.bottom - 1) return true;
        for (const cell of row.cells) {
            const link = cell.querySelector("a");
            if (link && link.getBoundingClientRect().right > cell.getBoundingClientRect().right + 1)
                return true;
        }
    }
    return false;
})()"""


@pytest.mark.parametrize("width", [320, 390, 768, 961, 1280])
def test_cells_do_not_overlap(cache, browser, width):
    set_width(browser, width)
    for tab in ("successes", "failures"):
        go(browser, cache, f"/resources/{tab}/")
        assert not script(browser, OVERLAPS), tab


CONTRAST = """(() => {
    const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
        .map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
    const behind = e => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor;
        if (!/rgba\\(.*, 0\\)/.test(c)) return c } return "rgb(255,255,255)" };
    let least = 99, which = "";
    for (const e of document.querySelectorAll("main *, header *, footer *")) {
        const has = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
        if (!has || e.closest("svg") || !e.getClientRects().length) continue;
        const a = light(getComputedStyle(e).color), b = light(behind(e));
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < least) { least = ratio; which = e.outerHTML.slice(0, 90) }
    }
    return [least, which];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_legible_in_dark_and_light(cache, browser, scheme):
    set_scheme(browser, scheme)
    for path in PAGES:
        go(browser, cache, path)
        least, which = script(browser, CONTRAST)
        assert least >= 4.5, f"{path}: a contrast of {least:.1f}: {which}"
        ground = script(browser, "getComputedStyle(document.body).backgroundColor")
        first = int(ground.split("(")[1].split(",")[0])
        assert first < 60 if scheme == "dark" else first > 200


def test_nothing_of_a_peer_is_run(cache, browser):
    for tab in ("successes", "failures"):
        go(browser, cache, f"/resources/{tab}/?search={quote(EVIL)}")
        go(browser, cache, f"/resources/{tab}/")
        links = every(browser, ".list a[title*=onerror]")
        assert len(links) == 1 and links[0].text.endswith("%3Cb%3E")
        assert every(browser, "main img, main b script") == []
    drawn = "document.querySelector('.failures tbody tr')?.cells[1].dataset.label"
    wait_for(browser, f"{drawn} == 'Status'")


def test_the_form_in_the_browser(cache, browser):
    go(browser, cache, "/")
    one(browser, "#url").send_keys("https://storage.example.com/a%20b.img?x=1&y=2")
    one(browser, "#ttl").send_keys("12h")
    one(browser, "form button").click()
    wait_until(lambda: every(browser, "#link code"), what="the link")
    link = one(browser, "#link code").text
    assert link == (f"http://{HOST}:{cache.port}/api/v1/fetch?url="
                    "https://storage.example.com/a%2520b.img%3Fx%3D1%26y%3D2&ttl=12h")  # fmt: skip
    assert one(browser, "#link a.button").get_attribute("href").endswith("ttl=12h")
    button = one(browser, "#link pre .copy")
    button.click()
    wait_for(browser, "document.querySelector('#link pre .copy').textContent == 'Copied'")
    assert one(browser, "#link code").text == link


def test_columns_and_search(cache, browser):
    go(browser, cache, "/resources/successes/")
    shown = "[...document.querySelectorAll('td data')].map(e => e.value).join()"
    one(browser, "thead a[href*='sort=size']").click()
    wait_for(browser, f"{shown} == '1048576,3,2,1'")
    assert one(browser, "[aria-sort]").get_attribute("aria-sort") == "descending"
    one(browser, "thead a[href*='sort=size']").click()
    wait_for(browser, f"{shown} == '1,2,3,1048576'")
    assert one(browser, "[aria-sort]").get_attribute("aria-sort") == "ascending"
    one(browser, "[type=search]").send_keys("FOLDER/1/\n")
    wait_for(browser, "document.querySelectorAll('tbody tr').length == 1")
    assert "sort=size" in browser.current_url


def test_progress_moves(cache, origin, browser):
    """A page that was opened once follows a download from the line to the disk."""
    first, second = threading.Event(), threading.Event()
    url = origin.put("/live/{}/Image.gz", Serve(BODY, gates={262144: first, 786432: second}))
    streams = [cache.open(url), cache.open(url)]
    ready = cache.figures()["resources_successes"]
    go(browser, cache, "/resources/downloading/")
    script(browser, "window.kept = document.body")
    bar = "document.querySelector('tbody progress')"
    text = "document.querySelector('tbody .p span').textContent"
    wait_for(browser, f"{bar}?.value == 262144 && {bar}.max == 1048576")
    wait_for(browser, f"{text}.startsWith('256 KiB · 25.0 %')")
    assert script(browser, "document.querySelector('tbody tr').cells[3].textContent") == "2"
    first.set()
    wait_for(browser, f"{bar}.value == 786432")
    wait_for(browser, f"{text}.startsWith('768 KiB · 75.0 %')")
    second.set()
    assert [s.rest() for s in streams] == [BODY, BODY]
    wait_for(browser, "document.querySelector('#list').hidden")
    assert one(browser, "#empty").is_displayed()
    count = "document.querySelector('[data-live=resources_successes]').textContent"
    wait_for(browser, f"{count} == '{ready + 1}'")
    assert script(browser, "window.kept == document.body"), "it was loaded again"


def test_an_open_list_fills_and_empties(cache, origin, browser):
    go(browser, cache, "/resources/scheduled/")
    assert one(browser, "#empty").is_displayed()
    gate = threading.Event()
    try:
        wires = [cache.ask(origin.add(Serve(BODY, head_gate=gate))) for _ in range(2)]
        cache.wait_figure("resources_downloading", 2)
        urls = [origin.add(Serve(BODY)) for _ in range(2)]
        wires += [cache.ask(url) for url in urls]
        wait_for(browser, "document.querySelectorAll('tbody tr').length == 2")
        titles = script(browser, "[...document.querySelectorAll('tbody a')].map(a => a.title)")
        assert sorted(titles) == sorted(urls)
        assert one(browser, ".bar [role=status]").text == "2 resources"
    finally:
        gate.set()
    wait_for(browser, "document.querySelectorAll('tbody tr').length == 0")
    assert one(browser, "#empty").is_displayed()
    for wire in wires:
        wire.close()
    cache.wait_idle()


def test_purging(cache, origin, browser):
    url = origin.put("/purge/{}/it's-100%25+.img", Serve(BODY))
    cache.fetch(url)
    go(browser, cache, "/resources/successes/?search=/purge/")
    one(browser, "tbody button").click()
    assert one(browser, "#purge .url").text == url
    one(browser, "#token").send_keys("wrong\n")
    wait_for(browser, "!document.querySelector('#purge [role=alert]').hidden")
    assert one(browser, "#purge [role=alert]").text == "This is not the token."
    assert [m for m in complaints(browser) if "401" not in m] == []
    one(browser, "#purge .plain").click()
    assert not one(browser, "#purge").is_displayed()
    one(browser, "tbody button").click()
    one(browser, "#token").clear()
    one(browser, "#token").send_keys(TOKEN + "\n")
    wait_for(browser, "document.querySelectorAll('tbody tr').length == 0")
    assert not one(browser, "#purge").is_displayed()
    assert cache.fetch(url).x_cache == "miss"


def test_figures_of_the_home_page_follow(cache, origin, browser):
    go(browser, cache, "/")
    ready = "document.querySelector('[data-live=resources_successes]').textContent"
    before = int(script(browser, ready))
    cache.fetch(origin.add(Serve(BODY)))
    wait_for(browser, f"{ready} == '{before + 1}'")
    used = script(browser, "document.querySelector('.quota progress').value")
    assert used == cache.figures()["disk_usage"]


def test_without_scripts(cache, origin, browser):
    set_scripts(browser, False)
    go(browser, cache, "/resources/successes/?search=folder")
    assert len(every(browser, "tbody tr")) == 3
    assert every(browser, "tbody button") == []
    assert not one(browser, "#purge").is_displayed()
    assert "JavaScript" in one(browser, "noscript").text
    one(browser, "thead a[href*='sort=url']").click()
    wait_until(lambda: "sort=url" in browser.current_url, what="the sorted list")
    assert one(browser, "[aria-sort]").text.strip().startswith("Resource")
    go(browser, cache, "/")
    one(browser, "#url").send_keys("http://a.example/b.img\n")
    wait_until(lambda: every(browser, "#link code"), what="the link")
    assert every(browser, ".copy") == []
    go(browser, cache, "/resources/downloading/")
    one(browser, "noscript a").click()
    wait_until(lambda: browser.current_url.endswith("?refresh=5"), what="the page that refreshes")
    assert "every 5 s" in one(browser, "noscript p").text
    go(browser, cache, "/statistics/")
    one(browser, "summary").click()
    assert len(every(browser, "details[open] tbody tr")) == 48


def test_live_below_a_prefix(launch_cache, origin, site, browser):
    folder = site({"index.html": "site"})
    cache = launch_cache("--cache-path", "/c", "--purge-token", TOKEN, site=folder)
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={1000: gate}))
    wire = cache.ask(url, path="/c/api/v1/fetch")
    go(browser, cache, "/c")
    assert one(browser, "h1").text
    one(browser, "a[href*=downloading]").click()
    wait_for(browser, "document.querySelector('tbody progress')?.value >= 1000")
    assert browser.current_url.endswith("/c/resources/downloading/")
    gate.set()
    wait_for(browser, "document.querySelector('#list').hidden")
    wire.close()
    go(browser, cache, "/c/resources/successes/")
    one(browser, "tbody button").click()
    one(browser, "#token").send_keys(TOKEN + "\n")
    wait_for(browser, "document.querySelectorAll('tbody tr').length == 0")
