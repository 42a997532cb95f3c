"""What everybody does who walks through the console: by what is written on the page, not by where it leads."""

import re

from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=30_000)


def into_demo(page: Page) -> Page:
    page.get_by_role("link", name="demo", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


def go(page: Page, name: str) -> None:
    """By the navigation."""
    page.locator("#nav-sidebar-apps").get_by_role("link", name=name, exact=True).click()


def button_of_list(page: Page) -> Locator:
    """That adds one."""
    return page.locator("#header-inner a[href$='/add/']")


def add(page: Page, **said: str) -> None:
    """The list's button, and the form behind it."""
    button_of_list(page).click()
    for label, text in said.items():
        page.get_by_role("textbox", name=re.compile(f"^{label.replace('_', ' ')}")).fill(text)
    save(page, "added")


def save(page: Page, done: str) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(f"was {done} successfully")).to_be_visible()


def choose(page: Page, field: str, called: str) -> None:
    """One of a list, or, where there may be thousands, one that is searched for."""
    select = page.locator(f"select[name='{field}']")
    searched = select.locator("+ .select2")
    if "admin-autocomplete" not in (select.get_attribute("class") or ""):
        select.select_option(select.locator("option").filter(has_text=called).first.get_attribute("value"))
        return
    searched.click()
    page.locator(".select2-search__field").last.fill(called)
    page.locator(".select2-results__option").filter(has_text=called).first.click()


def search(page: Page, words: str) -> None:
    page.wait_for_load_state()
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def open_host(page: Page, words: str) -> None:
    search(page, words)
    page.get_by_role("region", name="Hosts").get_by_role("link").first.click()
    expect(page.get_by_text("What happened")).to_be_visible()


def register(page: Page, serial: str, **said: str) -> None:
    go(page, "Hosts")
    add(page, Serial_number=serial, **said)
    open_host(page, serial)


def more(page: Page, verb: str) -> None:
    """A verb of the host's menu, and its dialog."""
    page.locator("#menu-more summary").click()
    menu = page.locator("#menu-more")
    menu.get_by_role("button", name=verb).or_(menu.get_by_role("link", name=verb)).click()
