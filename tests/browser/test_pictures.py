"""The pictures of the documents, taken anew by `EIM_SCREENSHOTS=1 make browser`: of the pages as they are."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.environ.get("EIM_SCREENSHOTS"), reason="pictures are taken when somebody asks for them"),
]
HERE = Path(__file__).parents[2] / "docs/img"
LARGEST = 200_000  # bytes
PAGES = {
    "overview": "/p/demo/", "locations": "/p/demo/locations/", "hosts": "/p/demo/admin/inventory/host/",
    "import": "/p/demo/imports/", "calendar": "/p/demo/schedules/?view=week", "search": "/p/demo/search/?q=berlin",
}  # fmt: skip


def take(page: Page, name: str) -> None:
    picture = HERE / f"{name}.png"
    picture.parent.mkdir(exist_ok=True)
    page.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size < LARGEST


def test_the_console_is_pictured(admin):
    admin.set_viewport_size(WIDE)
    for name, path in PAGES.items():
        admin.goto(path)
        admin.wait_for_load_state("networkidle")
        take(admin, name)
    admin.goto("/p/demo/admin/inventory/host/")
    admin.get_by_role("row").filter(has_text="FLEET00001").get_by_role("link").first.click()
    expect(admin.get_by_text("What happened")).to_be_visible()
    take(admin, "host")


def test_flower_is_pictured(admin):
    admin.get_by_role("link", name="Flower").click()
    admin.get_by_role("link", name="Tasks").click()
    admin.get_by_role("searchbox").fill("args:'demo'")
    expect(admin.get_by_role("row").filter(has_text=re.compile("InstanceOnHost")).first).to_be_visible()
    take(admin, "flower")
