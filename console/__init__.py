"""The console: pages for people, where the admin is too narrow. It reads models, and asks for wishes; it has no rules.

How to add a page of a project, at /p/<project>/<path>:
  - a function in a file named after its noun: `def schedules(request): return page(request, "console/schedules.html",
    title="Calendar", ...)`. It runs in the project's schema. Facts that it shows are read there, in few queries.
  - a line in console/urls.py: `to_read(path, view, name)` for whoever may read, `to_write(...)` for whoever may write.
    Both turn others away before the view is called; both are in the site's frame and under its sign-in.
  - a line in console/navigation.py, where it is to be found.
  - a template that begins with `{% extends "console/base.html" %}` and fills `{% block content %}`. Its looks are in
    static/console/console.css: .card, .grid, .bar, .state, .empty, .facts; its colours are Unfold's, so light and dark
    come by themselves. Templates hold no logic beyond if and for.
  - what lives: `<section data-live="{% url 'console:...' %}" data-every="5">`: console.js asks for this part again
    every so many seconds while the tab is seen, and puts it in place if it is another. The part is a template of its
    own, which the page includes and a view of its own renders by `part()`.

Scripts are files: the Content-Security-Policy (eim_project/settings.py) allows no inline script and no eval. So Alpine,
which Unfold's templates speak, is here in its build for that (static/console/alpine-csp.js, @alpinejs/csp from npm,
MIT), and templates/unfold/ replaces those of Unfold's templates that say more than this build understands.
"""
