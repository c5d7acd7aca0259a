"""The page in a real browser, on a desk and on a phone. Screenshots are left in ``build/screenshots``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from browser import open_browser

from airflow_provider_afilnet.sandbox import Sandbox

SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "\"'><b>bold</b>&amp;",
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "w" * 5_000,
]
DESK, PHONE = 1280, 360
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with open_browser() as driver:
        yield driver


@pytest.fixture
def look(browser: Any) -> Callable[..., Any]:
    """``look(url, width, name)`` opens a page at this width, keeps a picture, and answers the browser."""

    def open_page(url: str, width: int, name: str, scheme: str = "light") -> Any:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
        browser.get(url)
        height = min(3_000, browser.execute_script("return document.documentElement.scrollHeight"))
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "height": height})
        browser.save_screenshot(str(SHOTS / f"{name}-{width}-{scheme}.png"))
        return browser

    return open_page


@pytest.fixture
def shop() -> Iterator[Sandbox]:
    """A sandbox with everything that the page can show."""
    with Sandbox(user="demo", password="pw-secret") as box:
        box.add_account("shop@example.com", "pw-other")
        rows = [{"mobile": f"346{n:08}", "name": f"Ana {n}", "city": "Vigo"} for n in range(120)]
        box.create_group("Customers", "mobile", ["mobile", "name", "city"], rows)
        hostile = [{"email": f"{n}@example.com", "name": text} for n, text in enumerate(HOSTILE)]
        box.create_group(HOSTILE[0], "email", ["email", "name"], hostile, user="shop@example.com")
        box.fail("latency", seconds=0.001, methods="getcontact")
        for password in ("pw-secret", "pw-wrong"):
            signed = {"user": "demo", "password": password, "class": "group", "method": "addcontact"}
            contact = {"idgroup": "1000", "contact": "mobile:34711111111,name:Leo"}
            requests.post(f"{box.url}/api/http/", data=signed | contact, timeout=10)
        yield box


def text(browser: Any) -> str:
    return browser.find_element("css selector", "body").get_property("innerText")


def fits(browser: Any) -> bool:
    return browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def contrast(browser: Any) -> float:
    """The contrast of text on the page's ground, as WCAG counts it."""
    return browser.execute_script(
        """
        const light = c => { const [r, g, b] = c.match(/\\d+/g).slice(0, 3).map(v => { v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const s = getComputedStyle(document.body);
        const soft = getComputedStyle(document.querySelector("caption"));
        const pairs = [s.color, soft.color].map(c => [light(c), light(s.backgroundColor)].sort((a, b) => b - a));
        return Math.min(...pairs.map(([a, b]) => (a + 0.05) / (b + 0.05)));
        """
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_shows_what_the_sandbox_holds(look, shop, width, scheme):
    browser = look(f"{shop.url}/", width, "home", scheme)
    shown = text(browser)
    for part in ("Customers", "1000", "mobile, name, city", "121", "shop@example.com", "25.5", "latency"):
        assert part in shown, part
    assert ("INCORRECT_USER_PASSWORD" in shown, "addcontact" in shown, "contact=***" in shown) == (True, True, True)
    assert "pw-" not in browser.page_source
    assert "34711111111" not in browser.page_source
    assert fits(browser)
    assert contrast(browser) >= 4.5
    assert len(browser.find_elements("css selector", "h1")) == 1
    assert not browser.find_elements("css selector", "script")
    assert browser.get_cookies() == []


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_contacts_are_paged_by_links(look, shop, width):
    browser = look(f"{shop.url}/", width, "home")
    browser.find_element("link text", "1000").click()
    seen = []
    for _ in range(9):
        seen += [cell.text for cell in browser.find_elements("css selector", "tbody th[data-label=id] .data")]
        assert fits(browser)
        following = browser.find_elements("css selector", "a[rel=next]")
        if not following:
            break
        following[0].click()
    assert seen == [contact["idcontact"] for contact in shop.contacts("1000")]
    look(browser.current_url, width, "contacts")
    assert "34711111111" in text(browser)
    browser.find_element("link text", "First contacts").click()
    assert "34600000000" in text(browser)
    browser.find_element("link text", "All groups").click()
    assert browser.current_url == f"{shop.url}/"


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_hostile_values_are_text(look, shop, width):
    browser = look(f"{shop.url}/?group=1001", width, "hostile")
    shown = text(browser)
    for value in HOSTILE[:-2]:
        assert value in shown
    assert "⟨U+202E⟩gnp.exe" in shown
    assert "5,000 characters" in shown
    assert browser.title == f"{HOSTILE[0]} – Afilnet sandbox"
    assert not browser.find_elements("css selector", "script, img, td b")
    assert fits(browser)
    # There was nothing that the policy had to stop, the page's own style and icon included.
    assert browser.get_log("browser") == []


def test_an_empty_sandbox(look):
    with Sandbox() as box:
        browser = look(f"{box.url}/", PHONE, "empty")
        assert "There is no group yet" in text(browser)
        assert "Nothing was called yet" in text(browser)
        assert fits(browser)


def test_the_policy_stops_scripts(look, shop):
    policy = requests.get(f"{shop.url}/", timeout=10).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert "form-action 'none'" in policy


def test_many_groups_are_paged(look, shop):
    for number in range(120):
        shop.create_group(f"g{number}", "mobile", ["mobile"])
    browser = look(f"{shop.url}/", DESK, "many")
    ids = []
    for _ in range(9):
        ids += [
            link.text for link in browser.find_elements("css selector", "section[aria-labelledby=groups] tbody th a")
        ]
        following = browser.find_elements("css selector", "a[rel=next]")
        if not following:
            break
        following[0].click()
    assert ids == [group["id"] for group in shop.groups()]


@pytest.mark.parametrize(
    ("query", "status"), [("?group=77", 404), ("?group=x", 404), ("?group=1000&after=x", 400), ("?from=-1", 400)]
)
def test_wrong_addresses_of_the_page(shop, query, status):
    response = requests.get(f"{shop.url}/{query}", timeout=10)
    assert response.status_code == status
    assert response.json()["error"]
