"""Flower, seen in a browser: behind the sign-in that everybody has, and what it tells of the work that is done."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD

pytestmark = pytest.mark.browser


def test_an_administrator_sees_in_flower_which_tenants_resources_were_worked_on(admin):
    admin.get_by_role("link", name="Flower").click()
    admin.get_by_role("link", name="Tasks").click()
    admin.get_by_role("searchbox").fill("args:'demo'")
    row = admin.get_by_role("row").filter(has_text="InstanceOnHost").filter(has_text="('demo', 'inst-").first
    expect(row).to_contain_text("SUCCESS")


def test_who_is_no_administrator_does_not_get_into_flower(visitor, stack, people):
    person = visitor()
    person.expected.append("403 (Forbidden)")
    olga = person.signed_in("olga", PASSWORD)
    expect(olga.get_by_role("link", name="Flower")).to_have_count(0)
    olga.goto(stack.flower)
    expect(olga.locator("body")).to_contain_text("administrator")
