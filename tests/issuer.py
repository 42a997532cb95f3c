"""An OIDC issuer of somebody else's, on the loopback: discovery, JWKS, a token endpoint; it rotates and goes down."""

import json
import threading
import time
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

KINDS = {"RS": lambda: rsa.generate_private_key(65537, 2048), "ES": lambda: ec.generate_private_key(ec.SECP256R1())}


class Issuer:
    """Signs with the key that it made last, and publishes all that it has made and not dropped."""

    def __init__(self):
        self.keys, self.asked, self.down, self.codes, self.useless = {}, [], False, {}, []
        self.url = ""

    def new_key(self, kid: str, alg: str = "RS256"):
        self.keys[kid] = (KINDS["ES" if alg.startswith("ES") else "RS"](), alg)
        self.kid = kid

    def token(self, kid: str | None = None, alg: str | None = None, **changes) -> str:
        kid = kid or self.kid
        key, its = self.keys[kid]
        now = int(time.time())
        claims = {"iss": self.url, "sub": "f3b7", "aud": "account", "iat": now, "exp": now + 600, "azp": "orch"}
        said = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(said, key, alg or its, {"kid": kid})

    def documents(self) -> dict:
        rsa_keys, ec_keys = jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm
        algorithm = {"RS": rsa_keys, "PS": rsa_keys, "ES": ec_keys}
        published = [
            {**algorithm[alg[:2]].to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, (key, alg) in self.keys.items()
        ]
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url, "jwks_uri": f"{self.url}/keys", "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            },
            "/keys": {"keys": [*published, *self.useless]},
        }  # fmt: skip


@contextmanager
def running():
    issuer = Issuer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            issuer.asked.append(self.path)
            document = None if issuer.down else issuer.documents().get(self.path)
            self.say(200 if document else 503, document or {})

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            form = {name: values[0] for name, values in form.items()}
            client = b64decode(self.headers.get("Authorization", "Basic ").split()[1:][0]).decode()
            issuer.asked.append((client, form))
            self.say(200, issuer.codes.pop(form["code"]))

        def say(self, status, document):
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Its requests are in `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
