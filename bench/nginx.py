"""nginx as the shipped deployment has it (docker/nginx.conf.template), started on free ports of this machine."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eim_project.embedded import free_port
from eim_project.nginx import site
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
def running(folder: Path, user: str = "user root;", **settings: object) -> Iterator[tuple[int, int]]:
    """With these settings in place of our own. Yields the ports of HTTP and HTTPS, free ones unless they are given."""
    require("nginx")
    settings = {"EIM_HTTP_PORT": free_port(), "EIM_HTTPS_PORT": free_port()} | settings
    http, https = settings["EIM_HTTP_PORT"], settings["EIM_HTTPS_PORT"]
    (folder / "site.conf").write_text(site(**settings))
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
