"""Texts that machines read, from templates: Jinja, where a variable that isn't there is an error.

A template is looked for in the folder that EIM_TEMPLATES names, then among those we ship (provisioning/data). What it
puts into its text is quoted by itself, for YAML, or for the shell in a file *.sh: a value can't become syntax.
"""

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from django.conf import settings

SHIPPED = Path(__file__).parent / "data"
# What YAML doesn't take as it is, or takes for the end of a line, and JSON leaves alone.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class BadTemplate(Exception):
    """A text can't be made. str() names the template and what is wrong with it."""


def for_yaml(value: Any) -> str:
    """As JSON, which YAML includes. A text's lines and quotes are escaped, so that it stays one value."""
    text = json.dumps(value, ensure_ascii=False, default=str)  # str() of what isn't defined says so
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def for_shell(value: Any) -> str:
    return shlex.quote(str(value))


@cache
def _environment(folders: tuple[Path, ...], quote: Any) -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701  nothing of it is HTML: finalize quotes
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        finalize=quote,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=True,
    )


def _folders() -> tuple[Path, ...]:
    return (*([settings.EIM_TEMPLATES] if settings.EIM_TEMPLATES else []), SHIPPED)


def _ours(name: str) -> jinja2.Environment:
    return _environment(_folders(), for_shell if name.endswith(".sh") else for_yaml)


def first_of(*names: str) -> str:
    """The first of these templates that is there. Raises BadTemplate."""
    for name in names:
        if any((folder / name).is_file() for folder in _folders()):
            return name
    raise BadTemplate(f"There is no template {' or '.join(names)} in {' or '.join(map(str, _folders()))}")


def render(name: str, inputs: dict[str, Any]) -> str:
    """Raises BadTemplate, also if it asks for an input that there isn't, wherever in it that stands."""
    try:
        return _ours(name).get_template(name).render(inputs)
    except jinja2.UndefinedError as missing:
        raise BadTemplate(f"{name} asks for what there isn't: {missing}") from missing
    except jinja2.TemplateError as wrong:
        where = f"{getattr(wrong, 'name', None) or name}, line {getattr(wrong, 'lineno', '?')}"
        raise BadTemplate(f"{where}: {wrong}") from wrong
    except (TypeError, ValueError, ArithmeticError, LookupError) as wrong:  # of an expression in it
        raise BadTemplate(f"{name}: {wrong}") from wrong


def asked_for(name: str) -> set[str]:
    """The names of all inputs that a template uses, under whatever condition. Raises BadTemplate."""
    environment = _ours(name)
    try:
        source = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]
        return jinja2.meta.find_undeclared_variables(environment.parse(source))
    except jinja2.TemplateError as wrong:
        raise BadTemplate(f"{name}: {wrong}") from wrong
