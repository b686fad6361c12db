"""Chromium without a window, and what a page in it says of itself."""

import shutil

import pytest

from harness.client import HOST

SEVERE = "SEVERE"


def start_browser(folder, *flags):
    """A webdriver that trusts every certificate and knows HOST; its profile lies in `folder`."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium is not installed (Debian packages chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("acceptInsecureCerts", True)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 "--ignore-certificate-errors", "--disable-background-networking",
                 f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
                 f"--user-data-dir={folder}", *flags):  # fmt: skip
        options.add_argument(flag)
    service = webdriver.chrome.service.Service(driver)
    running = webdriver.Chrome(service=service, options=options)
    running.set_page_load_timeout(30)
    return running


def set_width(browser, width):
    """As on a screen so many CSS pixels wide; on a phone when it is narrow."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_scheme(browser, scheme):
    """"dark" or "light"."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def set_scripts(browser, enabled):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not enabled})


def complaints(browser):
    """What the console says since the last call: errors, and breaches of a policy."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] == SEVERE]
