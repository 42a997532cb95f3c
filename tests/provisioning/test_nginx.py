"""The shipped deployment's nginx: it serves the files that the app would serve, and no others. Run by make boots."""

import http.client
import http.server
import ssl
import threading

import pytest
from django.conf import settings

from bench import nginx
from eim_project import tls
from provisioning import boot
from tests.provisioning.serving import serve

pytestmark = pytest.mark.boots
IMAGE = {"debian.raw.gz": b"image" * 1000}


class App(http.server.BaseHTTPRequestHandler):
    """Says who asked for what."""

    def do_GET(self):
        body = f"app {self.path} {self.headers['X-Forwarded-Proto']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The ports of HTTP and HTTPS, and the data folder."""
    data = tmp_path_factory.mktemp("data")
    tls.ensure(data / "tls", ["127.0.0.1"])
    for step in ("signed", "ipxe", "media"):
        names = [name for its, name in boot.FILES.values() if its == step]
        serve(data / "artifacts", step, "abcd", **{name: f"{step} {name}".encode() for name in names})
    serve(data / "artifacts", "image", "abcd", **IMAGE)
    for path in ("images/own.raw", "mirror/ff/linux.img", "mirror/ff/linux.img.partial", "secret"):
        file = data / "artifacts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    ours = {"EIM_DATA": data, "EIM_ARTIFACTS": data / "artifacts"}
    web = f"server 127.0.0.1:{app.server_port};"
    with nginx.running(tmp_path_factory.mktemp("nginx"), EIM_WEB_SERVERS=web, **ours) as ports:
        yield *ports, data
    app.shutdown()
    app.server_close()


def get(site, path, *, plain=True, **headers):
    trust = ssl.create_default_context(cafile=site[2] / "tls/ca.crt")
    secured = http.client.HTTPSConnection("127.0.0.1", site[1], context=trust, timeout=30)
    connection = http.client.HTTPConnection("127.0.0.1", site[0], timeout=30) if plain else secured
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_every_file_that_the_app_would_serve_nginx_serves(site):
    for asked, (step, name) in boot.FILES.items():
        assert get(site, f"/tink-stack/{asked}")[:2] == (200, f"{step} {name}".encode()), asked
    assert get(site, "/tink-stack/signed/abcd/eim.efi")[1] == b"signed eim.efi"
    assert get(site, "/tink-stack/images/abcd/debian.raw.gz")[1] == IMAGE["debian.raw.gz"]
    assert get(site, "/tink-stack/images/own.raw")[1] == b"images/own.raw"
    assert get(site, "/tink-stack/mirror/ff/linux.img")[1] == b"mirror/ff/linux.img"


@pytest.mark.parametrize("path", [
    "/tink-stack/boot.ipxe?uuid=1", "/tink-stack/dnsmasq.conf", "/tink-stack/keys/Full_server.crt", "/v1/projects",
    "/tink-stack/mirror/ff/linux.img.partial", "/tink-stack/secret", "/tink-stack/signed/abcd/facts.json",
    "/tink-stack/images/..%2fsecret", "/tink-stack/images/../../artifacts/secret", "/secret", "/tink-stack/",
])  # fmt: skip
def test_all_else_is_the_apps_to_answer(site, path):
    assert get(site, path, plain=False)[1].startswith(b"app ")


def test_what_has_secrets_is_asked_for_by_tls_or_not_at_all(site):
    """Machines that boot by iPXE know no TLS, and send none."""
    assert get(site, "/tink-stack/boot.ipxe")[1].startswith(b"app ")
    for path in ("/v1/projects?a=b", "/login/", "/tink-stack/../v1/projects"):
        status, _, headers = get(site, path)
        assert status == 308 and headers["Location"].startswith(f"https://127.0.0.1:{site[1]}/"), path


def test_ranges_and_etags(site):
    status, body, headers = get(site, "/tink-stack/images/abcd/debian.raw.gz", Range="bytes=5-9")
    assert (status, body, headers["Content-Range"]) == (206, b"image", "bytes 5-9/5000")
    assert get(site, "/tink-stack/images/abcd/debian.raw.gz", Range="bytes=5000-")[0] == 416
    assert get(site, "/tink-stack/images/abcd/debian.raw.gz", **{"If-None-Match": headers["ETag"]})[0] == 304


def test_firmware_that_knows_rsa_only_gets_a_certificate_of_our_authority(site):
    for ciphers in ("DHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"):
        context = ssl.create_default_context(cafile=site[2] / "tls/ca.crt")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        connection = http.client.HTTPSConnection("127.0.0.1", site[1], context=context, timeout=30)
        connection.request("GET", "/tink-stack/boot.ipxe")
        assert connection.getresponse().read() == b"app /tink-stack/boot.ipxe https", ciphers


def test_the_template_is_the_one_that_compose_mounts():
    assert "./nginx.conf.template:/etc/nginx/templates/" in (settings.BASE_DIR / "docker/compose.yaml").read_text()
