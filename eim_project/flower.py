"""Flower's door: people sign in at the embedded token service, and only administrators get in (its client eim-flower).

Flower knows a person by a cookie that it signs. It is good for an hour, then the browser comes here again, and for no
longer than the person is an administrator and signed in, which is looked at as for every token.
"""

import base64
import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import jwt
import tornado.auth
from django.conf import settings
from django.db import close_old_connections
from flower.views import BaseHandler
from flower.views.auth import OAuth2StateMixin, get_next_url
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from tenants import standing

CLIENT = "eim-flower"
SERVICE = "/realms/master/protocol/openid-connect"
AN_HOUR = 1 / 24  # in days

_database = ThreadPoolExecutor(1)  # Django lets no thread with an event loop ask the database


class Login(BaseHandler, OAuth2StateMixin):
    async def get(self):
        if self.get_argument("error", None):
            raise tornado.auth.AuthError(self.get_argument("error_description", "") or self.get_argument("error"))
        if not self.get_argument("code", None):
            return self._to_the_service()
        self.verify_oauth_state()
        verifier = self.get_secure_cookie("oauth_verifier") or b""
        self.clear_cookie("oauth_verifier")
        said = await self._token_for(self.get_argument("code"), verifier.decode())
        who = {name: said[name] for name in ("sub", "stamp", "sid", "preferred_username")}
        self.set_secure_cookie("user", json.dumps(who), expires_days=AN_HOUR)
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

    async def _token_for(self, code: str, verifier: str) -> dict[str, str]:
        """What the access token says that the service gives for the code. It has looked whether they may come in."""
        ours = f"http://127.0.0.1:{settings.EIM_HTTP_PORT}{SERVICE}"
        form = {
            "grant_type": "authorization_code", "client_id": CLIENT, "code": code, "redirect_uri": self._here(),
            "code_verifier": verifier,
        }  # fmt: skip
        try:
            given = await AsyncHTTPClient().fetch(f"{ours}/token", method="POST", body=urlencode(form))
        except (HTTPClientError, OSError) as wrong:
            raise tornado.auth.AuthError(f"The token service gave no token: {wrong}") from wrong
        # Its signature needn't be looked at: it comes from the service itself.
        return jwt.decode(json.loads(given.body)["access_token"], options={"verify_signature": False})


def _may_stay(who: dict[str, str]) -> bool:
    close_old_connections()
    person = standing.of(int(who["sub"].removeprefix("user-")))
    is_signed_in = person.stamp == who["stamp"] and who["sid"] not in person.ended
    return person.is_active and person.is_superuser and is_signed_in


def _signed_in(handler: BaseHandler) -> str | None:
    """The name of whoever asks; None for strangers."""
    cookie = handler.get_secure_cookie("user", max_age_days=AN_HOUR)
    who = json.loads(cookie) if cookie else None
    return who["preferred_username"] if who and _database.submit(_may_stay, who).result(10) else None


# Flower would take its cookie for good as long as the signature is, and has no setting to say who else to ask.
BaseHandler.get_current_user = _signed_in
