/* What pages do by themselves: take on the chosen colours, keep themselves up to date, ask before what can't be undone. */
"use strict";

/* Before the first paint, or a dark page would flash. Unfold keeps the choice under this name. */
(() => {
  const chosen = JSON.parse(localStorage.getItem("adminTheme") || '"auto"');
  const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
})();

/* Unfold says these inline, in more JavaScript than Alpine's build for a Content-Security-Policy understands. */
document.addEventListener("alpine:init", () => {
  Alpine.data("theme", window.theme);
  Alpine.data("searchForm", window.searchForm);
  Alpine.data("page", (tab) => ({
    activeTab: tab,
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    window: { location: { get pathname() { return location.pathname; }, get search() { return location.search; } } },
    init() {
      this.activeTab = (tab && window.getCurrentTab && window.getCurrentTab()) || tab;
      this.$watch("sidebarDesktopOpen", (open) => localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"));
    },
  }));
});

/* Choices that are searched for have no name for whoever can't see their label. */
const nameChoices = () => document.querySelectorAll(".select2-selection[role=combobox]").forEach((box) => {
  const label = box.closest(".select2").previousElementSibling?.labels?.[0];
  if (!label) return;
  for (const part of [box, box.querySelector("[role=textbox]")]) part?.setAttribute("aria-label", label.textContent.trim());
});
document.addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector(".admin-autocomplete")) return;
  nameChoices();
  new MutationObserver(nameChoices).observe(document.body, { childList: true, subtree: true });
});

/* <section data-live="address" data-every="seconds">: asked for again while somebody can see it, and put in place if it
   is another. Whoever is in the middle of it keeps the focus, and what they have opened stays open. */
const Live = {
  begin(section) {
    let said = null, wait = Number(section.dataset.every) * 1000, timer = null;
    const look = async () => {
      clearTimeout(timer);
      if (document.hidden || !section.isConnected) return;
      if (section.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) {
        timer = setTimeout(look, wait);
        return;
      }
      try {
        const answer = await fetch(section.dataset.live, { headers: { "X-Requested-With": "live" } });
        if (answer.redirected || answer.status === 401 || answer.status === 403) return location.reload();
        if (answer.ok) {
          const text = await answer.text();
          if (text !== said) Live.put(section, text);
          said = text;
          section.classList.remove("stale");
          if (answer.headers.get("X-Live") === "done") return;
        } else section.classList.add("stale");
      } catch { section.classList.add("stale"); }
      timer = setTimeout(look, wait);
    };
    timer = setTimeout(look, wait);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
    section.addEventListener("look", look);
  },
  put(section, text) {
    const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
    const open = new Set([...section.querySelectorAll("details[id][open]")].map((one) => one.id));
    const shut = new Set([...section.querySelectorAll("details[id]:not([open])")].map((one) => one.id));
    const scrolled = [...section.querySelectorAll("[data-scrolled]")].map((one) => one.scrollTop);
    section.innerHTML = text;
    for (const one of section.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = true;
      if (shut.has(one.id)) one.open = false;
    }
    section.querySelectorAll("[data-scrolled]").forEach((one, at) => { one.scrollTop = scrolled[at] || 0; });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  },
};

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-live]").forEach(Live.begin);
});

/* <details> with <div data-once="address"> in it: asked for when it is opened for the first time. */
const once = async (details) => {
  for (const place of details.querySelectorAll(":scope > div > [data-once]")) {
    const address = place.dataset.once;
    place.removeAttribute("data-once");
    const answer = await fetch(address);
    if (answer.ok) place.innerHTML = await answer.text();
    else place.dataset.once = address;
  }
};
document.addEventListener("toggle", (event) => { if (event.target.open) once(event.target); }, true);

/* <button data-opens="id of a dialog"> and, inside the dialog, <button data-shuts>. Escape shuts a dialog by itself. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  if (event.target.closest("[data-shuts]")) event.target.closest("dialog").close();
});

/* <input data-shortcut="/">: this key leads there, from wherever nothing is being typed. */
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea, [contenteditable]")) return;
  const wanted = [...document.querySelectorAll("[data-shortcut]")].find((one) => one.dataset.shortcut === event.key);
  if (!wanted) return;
  event.preventDefault();
  event.stopPropagation(); // Unfold's lists have a search of their own under this key
  if (wanted.checkVisibility()) wanted.focus();
  else location.assign(wanted.form.action);
});

/* Times are shown in the browser's time zone: by this cookie the server knows it. */
document.cookie = `zone=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)}; path=/p/; max-age=31536000; samesite=lax`;

/* <form data-kinds="name of a choice">: what is marked data-kind="..." is shown while one of these is chosen. */
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[data-kinds]")) {
    const show = () => {
      const chosen = new FormData(form).get(form.dataset.kinds);
      for (const part of form.querySelectorAll("[data-kind]")) part.hidden = !part.dataset.kind.split(" ").includes(chosen);
    };
    form.addEventListener("change", show);
    show();
  }
});

/* An icon is a word in a font of its own: it is read out only as the name of what has no other. */
document.addEventListener("DOMContentLoaded", () => {
  for (const icon of document.querySelectorAll("span.material-symbols-outlined")) {
    const named = icon.closest("a, button");
    const others = named && [...named.childNodes].some((one) => one !== icon && one.textContent.trim() && !one.matches?.("span.material-symbols-outlined"));
    if (named && !others && !named.hasAttribute("aria-label")) named.setAttribute("aria-label", named.title || icon.textContent.trim().replaceAll("_", " "));
    icon.setAttribute("aria-hidden", "true");
  }
});

/* A form is sent once. */
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && event.target.method === "post") setTimeout(() => { button.disabled = true; });
});
