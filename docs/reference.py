"""Writes the reference from the code while MkDocs builds the site: settings, commands, API, gRPC, metrics, statuses.

A hook of MkDocs (mkdocs.yml). Nothing of it is a file in the repository, so nothing of it can be out of date.
"""

import argparse
import ast
import atexit
import html
import json
import os
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import yaml
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
OURS = ("tenants", "inventory", "workers", "onboarding", "provisioning", "exporter", "console", "eim_project")


def on_config(config):
    """The pages that are written here come last in the menu."""
    _start_django()
    written = pages()
    api = [{title_of(text): path} for path, text in written.items() if path.startswith("reference/api/")]
    others = [
        {title_of(text): path} for path, text in written.items() if path.endswith(".md") and "/api/" not in path
    ]  # fmt: skip
    config.nav.append({"Reference": [*others, {"REST API": api}]})
    config.written = written
    return config


def on_page_markdown(markdown: str, **_) -> str:
    return markdown.replace("<!-- bench -->", bench()) if "<!-- bench -->" in markdown else markdown


def bench() -> str:
    """The figures of bench/latest.json."""
    rows = [
        [name if at == 0 else "", one["ours"] if at == 0 else "", f["figure"], f"{f['ours']:,.1f} {f['unit']}",
         f"{f['floor']:,.1f} {f['unit']}", f"{f['times_floor']:.1f}", one["date"][:10] if at == 0 else ""]
        for name, one in sorted(json.loads((ROOT / "bench/latest.json").read_text())["benches"].items())
        for at, f in enumerate(one["figures"])
    ]  # fmt: skip
    return table(["bench", "what is measured", "figure", "ours", "floor", "times", "on"], rows)


def on_files(files: Files, config) -> Files:
    for path, text in config.written.items():
        files.append(File.generated(config, path, content=text))
    return files


def _start_django() -> None:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")
    data = tempfile.mkdtemp(prefix="eim-docs-")  # or a default would be one of this machine's
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    os.environ["EIM_DATA"] = data
    import django

    django.setup()


def pages() -> dict[str, str]:
    """Path -> text, of all that is written here."""
    document = openapi()
    return {
        "reference/settings.md": settings(), "reference/commands.md": commands(), "reference/csv.md": csv_columns(),
        "reference/statuses.md": statuses(), "reference/metrics.md": metrics(), "reference/grpc.md": grpc(),
        **api_pages(document), "reference/openapi.json": json.dumps(document, indent=1),
    }  # fmt: skip


def title_of(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")


def table(heads: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(heads), line(["---"] * len(heads)), *map(line, rows)]) + "\n"


def code(text: object) -> str:
    return f"`{text}`" if str(text) else ""


# Settings ------------------------------------------------------------------------------------------------------------


def settings() -> str:
    from eim_project.settings import environment

    data = os.environ["EIM_DATA"]
    text = [
        "# Settings\n\nVariables of the environment. `manage.py settings` shows the values that are in force. A wrong",
        "value ends the start with exit code 2 and a sentence; an empty variable counts as not set.\n",
    ]
    groups: dict[str, list[list[str]]] = defaultdict(list)
    for name, group in _groups_of_settings().items():
        one = environment.settings.get(name)
        if one is None:
            continue
        default = one.shown(one.default).replace(data, "EIM_DATA").replace(str(ROOT), ".")
        if name == "EIM_DATA":
            default = "./var, as root /var/lib/eim/..."
        groups[group].append([code(name), code(default), one.about])
    missing = environment.settings.keys() - {row[0].strip("`") for rows in groups.values() for row in rows}
    for name in sorted(missing):
        one = environment.settings[name]
        default = one.shown(one.default).replace(data, "EIM_DATA").replace(str(ROOT), ".")
        groups["Others"].append([code(name), code(default), one.about])
    for group, rows in groups.items():
        text += [f"## {group}\n", table(["variable", "default", "what it is"], rows)]
    return "\n".join(text)


def _groups_of_settings() -> dict[str, str]:
    """Setting -> the heading it stands under in settings.py."""
    found: dict[str, str] = {}
    heading = "General"
    for line in (ROOT / "eim_project/settings.py").read_text().splitlines():
        if match := re.match(r"# (.+?) -{5,}$", line):
            heading = match[1]
        for name in re.findall(r'"([A-Z][A-Z_]+)"', line):
            found.setdefault(name, heading)
        for name in re.findall(r'_port\("(\w+)"', line):
            found.setdefault(f"EIM_{name.upper()}_PORT", heading)
    return found


# Commands ------------------------------------------------------------------------------------------------------------


def commands() -> str:
    from django.core.management import get_commands, load_command_class

    text = [
        "# Commands\n\n`.venv/bin/python manage.py COMMAND`, in the folder of the repository. Each also takes",
        "`--verbosity`, `--traceback` and Django's other options; `manage.py COMMAND --help` shows them all.\n",
    ]
    for name, app in sorted(get_commands().items()):
        if app not in OURS:
            continue
        command = load_command_class(app, name)
        parser = command.create_parser("manage.py", name)
        text += [f"## {name}\n", f"{command.help.strip() if command.help else ''}\n", _usage(parser)]
        text += _verbs(parser)
    return "\n".join(text)


def _usage(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        if set(action.option_strings) & _DJANGOS:
            continue
        says = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
        takes = "" if action.nargs == 0 else str(action.metavar or says)
        names = ", ".join(action.option_strings) or takes
        shown = f"{names} {takes}".strip() if action.option_strings else names
        rows.append([code(shown), html.escape(_help_of(parser, action))])
    return table(["argument", "what it is"], rows) if rows else ""


_DJANGOS = {
    "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color",
    "--skip-checks",
}  # fmt: skip


def _help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


def _verbs(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield f"\n**{name}**: {below.description or ''}\n"
                yield _usage(below)


# CSV ----------------------------------------------------------------------------------------------------------------

MEANING = {
    "Serial": "The serial number, 5 to 20 letters and digits. This or the UUID is needed.",
    "UUID": "The system UUID of the firmware.",
    "OSProfile": "What is installed: a profile name, a name, or an id like `os-1a2b3c4d`.",
    "Site": "Where it stands: a site's name or id.",
    "Secure": "`true` or `false`: Secure Boot and disk encryption, if the profile has them.",
    "RemoteUser": "Who may log in: a local account's user name or id.",
    "Metadata": "Labels, `key=value`, several joined by `&`.",
    "LVMSize": "GB to be kept for LVM; a whole number.",
    "CloudInitMeta": "Custom configs by name or id, joined by `&`.",
    "K8sEnable": "`true` or `false`. Checked and kept; clusters are made by another system.",
    "K8sClusterTemplate": "`name:vX.Y.Z`.",
    "K8sConfig": "`role:all`, then `;name:N` and `;labels:k=v&k=v` as needed.",
    "Error - do not fill": "Must be empty; in the file of errors it says what is wrong with the row.",
}


def csv_columns() -> str:
    from inventory.bulk.options import OVERRIDES
    from inventory.bulk.sheet import LONG, SHORT

    options = {column: (option, variable) for option, variable, column in OVERRIDES}
    rows = [
        [code(column), MEANING[column], *(code(said) for said in options.get(column, ("", "")))] for column in LONG
    ]
    return (
        "# Columns of import files\n\nCSV in UTF-8, or `.xlsx`. All of these columns, or the archived tools' older "
        f"{len(SHORT)}, or any part of them in any order. An option replaces the cell of every row; so does its "
        "variable, which the option beats.\n\n" + table(["column", "what it says", "option", "variable"], rows)
    )


# Status texts --------------------------------------------------------------------------------------------------------


def statuses() -> str:
    """What the code shows to operators: literals in Status(...), and what reconcilers give back or refuse with."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for app in OURS:
        for file in sorted((ROOT / app).rglob("*.py")):
            if "migrations" in file.parts or file.name.startswith("test"):
                continue
            for text, colour in _texts(ast.parse(file.read_text())):
                found[text][colour].add(str(file.relative_to(ROOT)))
    rows = [
        [html.escape(text), ", ".join(sorted(colours)), ", ".join(map(code, sorted(set().union(*colours.values()))))]
        for text, colours in sorted(found.items(), key=lambda item: item[0].lower())
        if text.strip()
    ]
    return (
        "# Status texts\n\nWhat statuses of hosts, instances and projects say, and what the queue of outstanding work "
        "gives as a reason. `{...}` stands for a value. Causes and next steps: "
        "[Troubleshooting](../operate/troubleshooting.md).\n\n"
        + table(["text", "indicator", "said in"], rows)
    )


_SAYERS = {
    "Status": "", "Refused": "ERROR", "Later": "IN_PROGRESS", "Done": "IDLE", "Fault": "ERROR", "Unable": "ERROR",
}  # fmt: skip


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _SAYERS:
            continue
        at = 1 if name == "Later" else 0
        if len(node.args) <= at or not (text := _literal(node.args[at])):
            continue
        colour = _SAYERS[name]
        if name == "Status":
            told = ast.unparse(node.args[1]) if len(node.args) > 1 else "Indicator.UNSPECIFIED"
            colour = told.rpartition(".")[2]
        yield text, colour


def _literal(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{...}" for part in node.values]
        return "".join(map(str, parts)) if any(isinstance(part, ast.Constant) for part in node.values) else ""
    return ""


# Metrics -------------------------------------------------------------------------------------------------------------


def metrics() -> str:
    from exporter import fleet, hosts

    rows = {
        name: [code(name), text, ", ".join(map(code, ["project", label]))]
        for name, (text, label, _, _) in fleet.COUNTED.items()
    }
    single = ", ".join(map(code, hosts.LABELS))
    for name, (text, label, _, _) in hosts.STATUSES.items():
        rows[name] = [code(name), text, f"{single}, {code(label)}"]
    for file in sorted((ROOT / "exporter").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("MetricFamily") and len(node.args) > 1:
                name, text = _literal(node.args[0]), _literal(node.args[1])
                labels = next((key.value for key in node.keywords if key.arg == "labels"), None)
                if name and text:
                    said = [_literal(one) for one in labels.elts] if isinstance(labels, ast.List) else []
                    rows.setdefault(name, [code(name), text, ", ".join(map(code, said)) or (single if labels else "")])
    alerts = [
        [code(rule["alert"]), code(rule["expr"]), rule.get("for", ""), rule["annotations"]["summary"]]
        for group in yaml.safe_load((ROOT / "exporter/data/alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]
    return (
        "# Metrics\n\nAt `/metrics` of the web server and at the exporter's port (`EIM_EXPORTER_PORT`). Series for "
        "each single host are told only for projects that ask for them (`host_metrics`, in the admin).\n\n"
        + table(["metric", "what it says", "labels"], [rows[name] for name in sorted(rows)])
        + "\n## Alerts\n\nIn `exporter/data/alerts.yaml`.\n\n"
        + table(["alert", "when", "for", "what it says"], alerts)
    )


# gRPC ----------------------------------------------------------------------------------------------------------------


def grpc() -> str:
    from google.protobuf.descriptor import FieldDescriptor as Field

    kinds = {vars(Field)[name]: name.removeprefix("TYPE_").lower() for name in vars(Field) if name.startswith("TYPE_")}
    text = [
        "# gRPC services\n\nWhat agents and the micro-OS call, all at one port (`EIM_GRPC_PORT`), with TLS. The files",
        "are in `wire/protos/`. Tinkerbell's workflow service of both generations (`tink_old.proto`, `tink_new.proto`)",
        "is served beside these.\n",
    ]
    for file in sorted((ROOT / "wire").glob("*_pb2.py")):
        module = __import__(f"wire.{file.stem}", fromlist=["DESCRIPTOR"])
        for service in module.DESCRIPTOR.services_by_name.values():
            rows = [
                [
                    code(method.name),
                    ("stream of " if method.client_streaming else "") + code(method.input_type.name),
                    ("stream of " if method.server_streaming else "") + code(method.output_type.name),
                ]
                for method in service.methods
            ]
            text += [f"## {service.full_name}\n", table(["method", "takes", "answers"], rows)]
        for message in module.DESCRIPTOR.message_types_by_name.values():
            rows = [
                [
                    str(field.number), code(field.name),
                    ("repeated " if field.is_repeated else "")
                    + (field.message_type or field.enum_type).name if field.message_type or field.enum_type
                    else ("repeated " if field.is_repeated else "") + kinds[field.type],
                ]
                for field in message.fields
            ]  # fmt: skip
            if rows:
                text += [f"### {message.name}\n", table(["number", "field", "type"], rows)]
    return "\n".join(text)


# REST ----------------------------------------------------------------------------------------------------------------


def openapi() -> dict:
    from drf_spectacular.generators import SchemaGenerator

    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))


OLD = "/edge-infra.orchestrator.apis/"  # the same once more, at the paths of old clients


def api_pages(document: dict) -> dict[str, str]:
    by_tag: dict[str, list[tuple[str, str, dict]]] = defaultdict(list)
    for path, methods in document["paths"].items():
        if path.startswith(OLD):
            continue
        for method, operation in methods.items():
            if method in ("get", "post", "put", "patch", "delete"):
                by_tag[(operation.get("tags") or ["Others"])[0]].append((path, method.upper(), operation))
    pages = {}
    for tag, operations in sorted(by_tag.items()):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tag.removesuffix("Service")).capitalize()
        text = [f"# {name}\n\nAll of it for programs: [openapi.json](../openapi.json), and `/docs/` of a server.\n"]
        rows = [[method, code(path), html.escape(op.get("summary", ""))] for path, method, op in operations]
        text += [table(["method", "path", "what it does"], rows)]
        for path, method, operation in operations:
            if asked := [one for one in operation.get("parameters", []) if one.get("in") == "query"]:
                text.append(f"\n**{method} {code(path)}** can be asked with:\n")
                text.append(table(["parameter", "what it is"], [
                    [code(one["name"]), html.escape(one.get("description", ""))] for one in asked
                ]))  # fmt: skip
        for name in sorted(_schemas_of(operations)):
            schema = document["components"]["schemas"].get(name, {})
            if fields := schema.get("properties"):
                text += [f"\n## {name}\n", html.escape(schema.get("description", "")) + "\n", table(
                    ["field", "type", "", "what it is"],
                    [
                        [
                            code(field), _type_of(told), _must(field, told, schema),
                            html.escape(told.get("description", "")),
                        ]
                        for field, told in fields.items()
                    ],
                )]  # fmt: skip
        pages[f"reference/api/{tag.lower()}.md"] = "\n".join(text)
    return pages


def _schemas_of(operations: list[tuple[str, str, dict]]) -> set[str]:
    told = json.dumps([[op.get("requestBody"), op.get("responses")] for _, _, op in operations])
    return {*re.findall(r"#/components/schemas/([\w.]+)", told)} - {"Error"}


def _must(field: str, told: dict, schema: dict) -> str:
    return "read only" if told.get("readOnly") else "needed" if field in schema.get("required", ()) else ""


def _type_of(told: dict) -> str:
    if ref := re.search(r"schemas/([\w.]+)", json.dumps(told)):
        return f"{'list of ' if told.get('type') == 'array' else ''}{ref[1]}"
    kind = told.get("type", "")
    if kind == "array":
        return f"list of {_type_of(told.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind or "")
