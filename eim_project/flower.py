"""Flower's door: people sign in at the embedded token service, and only staff get in (its client eim-flower).

Flower knows a person by a cookie that it signs; the cookie is good for an hour, then the browser comes here again.
"""

import base64
import hashlib
import json
import re
import secrets
from urllib.parse import urlencode

import tornado.auth
from django.conf import settings
from flower.views import BaseHandler
from flower.views.auth import OAuth2StateMixin, get_next_url
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

CLIENT = "eim-flower"
SERVICE = "/realms/master/protocol/openid-connect"
AN_HOUR = 1 / 24  # in days


class Login(BaseHandler, OAuth2StateMixin):
    async def get(self):
        if self.get_argument("error", None):
            raise tornado.auth.AuthError(self.get_argument("error_description", "") or self.get_argument("error"))
        if not self.get_argument("code", None):
            return self._to_the_service()
        self.verify_oauth_state()
        verifier = self.get_secure_cookie("oauth_verifier") or b""
        self.clear_cookie("oauth_verifier")
        name = await self._name_of(self.get_argument("code"), verifier.decode())
        self.set_secure_cookie("user", f"{re.sub(r'[^A-Za-z0-9._-]', '-', name)}@eim", expires_days=AN_HOUR)
        return self.redirect((self.get_secure_cookie("oauth_next") or b"/").decode())

    def _to_the_service(self) -> None:
        verifier = secrets.token_urlsafe(48)
        self.set_secure_cookie("oauth_verifier", verifier, expires_days=AN_HOUR)
        self.set_secure_cookie("oauth_next", get_next_url(self), expires_days=AN_HOUR)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "client_id": CLIENT, "response_type": "code", "scope": "openid", "redirect_uri": self._here(),
            "state": self.set_oauth_state(), "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        public = settings.EIM_PUBLIC_URL or f"http://{self.request.host_name}:{settings.EIM_HTTP_PORT}"
        self.redirect(f"{public}{SERVICE}/auth?{urlencode(asked)}")

    def _here(self) -> str:
        return f"{self.request.protocol}://{self.request.host}{self.request.path}"

    async def _name_of(self, code: str, verifier: str) -> str:
        """Whoever the code stands for. The service has looked whether they are staff."""
        ours = f"http://127.0.0.1:{settings.EIM_HTTP_PORT}{SERVICE}"
        form = {
            "grant_type": "authorization_code", "client_id": CLIENT, "code": code, "redirect_uri": self._here(),
            "code_verifier": verifier,
        }  # fmt: skip
        http = AsyncHTTPClient()
        try:
            given = await http.fetch(f"{ours}/token", method="POST", body=urlencode(form))
            bearer = {"Authorization": f"Bearer {json.loads(given.body)['access_token']}"}
            return json.loads((await http.fetch(f"{ours}/userinfo", headers=bearer)).body)["preferred_username"]
        except (HTTPClientError, OSError) as wrong:
            raise tornado.auth.AuthError(f"The token service gave no token: {wrong}") from wrong
