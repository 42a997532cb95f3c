"""nginx as the shipped deployment has it (docker/nginx.conf.template), started on free ports of this machine."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from eim_project.embedded import free_port
from provisioning.dkam.tools import SEARCH_PATH, require

AROUND = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
STARTS_WITHIN_SECONDS = 60


@contextmanager
def running(data: Path, upstream: str, folder: Path, user: str = "user root;") -> Iterator[tuple[int, int]]:
    """Before `upstream` (host:port), with the artifacts of `data`. Yields the ports of HTTP and HTTPS."""
    require("nginx")
    http, https = free_port(), free_port()
    values = {"EIM_UPSTREAM": upstream, "EIM_DATA": data, "EIM_HTTP_PORT": http, "EIM_HTTPS_PORT": https}
    template = (settings.BASE_DIR / "docker/nginx.conf.template").read_text()
    (folder / "site.conf").write_text(re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), template))
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    command = ["setpriv", "--pdeathsig", "TERM", "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={"PATH": SEARCH_PATH})
    try:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not _listens(http):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx doesn't start"
            time.sleep(0.05)
        yield http, https
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
