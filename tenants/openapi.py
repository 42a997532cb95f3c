"""How the API's document says that one signs in: with a token, or at the embedded token service (Swagger UI does)."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from tenants.issuer import PROTOCOL


class Bearer(OpenApiAuthenticationExtension):
    target_class = "tenants.permissions.BearerAuthentication"
    name = ["bearer", "signIn"]

    def get_security_requirement(self, auto_schema):
        return [{name: []} for name in self.name]  # the one or the other

    def get_security_definition(self, auto_schema):
        flow = {
            "authorizationUrl": f"{PROTOCOL}/auth",
            "tokenUrl": f"{PROTOCOL}/token",
            "refreshUrl": f"{PROTOCOL}/token",
            "scopes": {"openid": "Who you are"},
        }
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token, or an API token (eim_...). Its roles `<project's UUID>_im-r` let it "
                "read, `<project's UUID>_im-rw` read and write.",
            },
            {"type": "oauth2", "flows": {"authorizationCode": flow}},
        ]
