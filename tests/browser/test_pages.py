"""Every page in light, in dark and at a phone's width: nothing that keeps anybody from using it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import PASSWORD, PHONE, WIDE, Visitor

pytestmark = pytest.mark.browser

GRAVE = {"serious", "critical"}
PROJECT = [
    "", "locations/", "imports/", "schedules/", "schedules/?view=week", "schedules/new/", "search/?q=berlin",
    "admin/inventory/host/", "admin/inventory/host/add/", "admin/inventory/region/add/", "admin/provisioning/workflow/",
    "admin/inventory/telemetryprofile/add/", "admin/tenants/enrolment/", "zero-touch/",
]  # fmt: skip
PAGES = ["/", "/password/", "/admin/", "/admin/tenants/project/", *(f"/p/demo/{page}" for page in PROJECT), "a host"]


@pytest.fixture(scope="module")
def page(browser, stack):
    """One visitor for all pages."""
    visitor = Visitor(browser, stack)
    yield visitor.signed_in("admin", PASSWORD)
    visitor.context.close()
    visitor.assert_content()


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_kept_from_using_a_page(page: Page, path: str):
    if path == "a host":
        page.goto("/p/demo/admin/inventory/host/")
        page.get_by_role("link", name="host-").first.click()
        page.get_by_text("What happened").wait_for()
    else:
        page.goto(path)
    found = []
    for theme, size in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.reload()
        found += [f"{theme}, {size['width']} wide: {one}" for one in _complaints(page)]
        if size == PHONE:
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > PHONE["width"]:
                found.append(f"it is {wide} wide on a phone of {PHONE['width']}")
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    assert found == []


def _complaints(page: Page) -> list[str]:
    result = Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        f"{one['id']}: {node['html'][:200]}: {' '.join(node['failureSummary'].split())[:200]}"
        for one in result.response["violations"] if one["impact"] in GRAVE for node in one["nodes"][:4]
    ]  # fmt: skip
