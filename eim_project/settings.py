"""All settings, from the environment, each with a default that works on a laptop. `manage.py settings` lists them."""

import hashlib
import ipaddress
import json
import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from corsheaders.defaults import default_headers

from eim_project import environment as env

environment = env.Environment(os.environ)
setting = environment.setting
BASE_DIR = Path(__file__).resolve().parent.parent


def _default_data() -> Path:
    """As root under /var/lib, because embedded Postgres opens its folder's parents; else inside the checkout."""
    if os.geteuid() == 0:
        return Path("/var/lib/eim") / hashlib.sha256(str(BASE_DIR).encode()).hexdigest()[:12]
    return BASE_DIR / "var"


def _secret_key() -> str:
    """EIM_SECRET_KEY, else one made on the first start and kept: it seals what is encrypted at rest."""
    about = "signs sessions and seals secrets at rest; made at the first start and kept in EIM_DATA/secret_key"
    if key := setting("EIM_SECRET_KEY", env.text, "", about, secret=True):
        return key
    kept = EIM_DATA / "secret_key"
    try:
        EIM_DATA.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(50))
        except FileExistsError:
            pass  # made by an earlier start
        return kept.read_text()
    except OSError as why:
        environment.refuse(f"EIM_DATA={EIM_DATA}: {kept} can't be kept there ({why.strerror}): name another folder")
        return ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _running_stack() -> dict:
    """Where `manage.py up` has its servers: for a command that is typed beside it. Nothing if it was killed since."""
    try:
        stack = json.loads((EIM_DATA / "stack.json").read_text())
    except FileNotFoundError:
        return {}
    return stack if Path(f"/proc/{stack['pid']}").exists() else {}


def _port(name: str, default: int, about: str) -> int:
    return setting(f"EIM_{name.upper()}_PORT", env.port, env.port(_running_stack().get(name, str(default))), about)


def _database(url: str) -> dict:
    """postgresql://user:password@host:port/name as Django wants it; a host given as ?host= may be a socket folder."""
    parts = urlsplit(url)
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "tenants.database",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(query.get("host", parts.hostname or "")),
        "PORT": str(parts.port or ""),
        # One connection a thread, renewed by age: a backend that has visited 1,000 schemas holds 480 MB of catalog.
        "CONN_MAX_AGE": 900,
        "CONN_HEALTH_CHECKS": True,
    }


# Where things are -------------------------------------------------------------------------------------------------
DEFAULT_DATA = _default_data()
EIM_DATA = setting("EIM_DATA", env.path, DEFAULT_DATA, "folder of all that is kept outside the database")
EIM_ARTIFACTS = setting("EIM_ARTIFACTS", env.path, EIM_DATA / "artifacts", "folder of what machines boot and install")
EIM_OS_PROFILES = setting("EIM_OS_PROFILES", env.path, None, "folder of OS profiles, besides those we ship")
EIM_CA_FILE = setting("EIM_CA_FILE", env.path, EIM_DATA / "tls/ca.crt", "authority that machines are told to trust")
EIM_IPXE_SOURCE = setting("EIM_IPXE_SOURCE", env.path, None, "a tree of sources to build iPXE from")
EIM_AIRGAP = setting("EIM_AIRGAP", env.path, None, "folder of files that come from there instead of the network")
EIM_DOWNLOADS = setting(
    "EIM_DOWNLOADS", env.number(1), 8, "downloads at once, of 16 web threads; the API has the others"
)
EIM_TLS_CERT = setting("EIM_TLS_CERT", env.path, EIM_DATA / "tls/server.crt", "certificate of the https and gRPC ports")
EIM_TLS_KEY = setting("EIM_TLS_KEY", env.path, EIM_DATA / "tls/server.key", "its private key")

# How machines reach us; advertised in boot scripts and written into installed systems ---------------------------------
EIM_PUBLIC_HOST = setting(
    "EIM_PUBLIC_HOST", env.text, _running_stack().get("public_host", "127.0.0.1"),
    "name or address by which machines reach this server",
)  # fmt: skip
EIM_BIND = setting("EIM_BIND", env.text, "127.0.0.1", "the address our own servers listen on")
EIM_HTTP_PORT = _port("http", 8000, "of the API and pages; without it a free one is taken")
EIM_HTTPS_PORT = _port("https", 8443, "of the same over TLS, for machines")
EIM_GRPC_PORT = _port("grpc", 50051, "of machines' gRPC")
EIM_EXPORTER_PORT = _port("exporter", 9101, "of the fleet's metrics")
EIM_FLOWER_PORT = _port("flower", 5555, "of Flower, which shows the Celery workers")
EXPORTER_KEEPS = setting(
    "EIM_EXPORTER_KEEPS", env.seconds(0), 5.0, "seconds that an answer of the exporter is good for"
)
EIM_FLOWER_URL = setting(
    "EIM_FLOWER_URL", env.url("http", "https"), "", "where administrators find Flower; no link without it"
)

# Django ----------------------------------------------------------------------------------------------------------
SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = setting(
    "EIM_SECRET_KEY_FALLBACKS", env.listed, [], "older secret keys: what they signed and sealed stays good", secret=True
)
SECRET_KEYS = setting(
    "EIM_SECRET_KEYS", env.listed, [], "keys that seal secrets at rest, newest first (tenants/secrets.py)", secret=True
)
DEBUG = setting(
    "EIM_DEBUG", env.switch, False, "pages that show what went wrong, secrets included: never in production"
)
ALLOWED_HOSTS = [
    *dict.fromkeys(["localhost", "127.0.0.1", "[::1]", "10.0.2.2", EIM_PUBLIC_HOST]),
    *setting("EIM_ALLOWED_HOSTS", env.listed, [], "more names under which the web server answers"),
]
ROOT_URLCONF = "eim_project.urls"
WSGI_APPLICATION = "eim_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenants.User"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
DATA_UPLOAD_MAX_MEMORY_SIZE = 25_000_000  # bytes; what a route takes is less, and its own matter (tenants/request.py)
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_AGE = 12 * 3600  # seconds; a working day
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 10},
        "CommonPasswordValidator": {},
        "NumericPasswordValidator": {},
    }.items()
]
AUTHENTICATION_BACKENDS = ["tenants.limits.PatientBackend"]

# The edge of the web -------------------------------------------------------------------------------------------------
AUTHENTICATION = setting(
    "EIM_AUTH", env.switch, True,
    "off: who asks without a token may do everything; for trials on one machine, which alone reaches it",
)  # fmt: skip
if not AUTHENTICATION and not is_loopback(EIM_BIND):
    environment.refuse(
        f"EIM_AUTH=off opens everything to whoever reaches this server, and EIM_BIND={EIM_BIND} lets others reach it: "
        "unset one of them"
    )
TRUSTED_PROXIES = setting(
    "EIM_TRUSTED_PROXIES",
    env.networks,
    [],
    "whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks",
)
# Far above what one person, a bulk import or a page that polls needs, and well below what one web process can answer
# to a flood.
LIMIT_ADDRESS = setting("EIM_LIMIT_ADDRESS", env.rate, "1000/second", "requests of one client address, or off")
LIMIT_TENANT = setting("EIM_LIMIT_TENANT", env.rate, "2000/second", "requests of one tenant, or off")

# How long what is over is kept; what is outstanding, and the last of a machine, is never too old ----------------------
JOURNAL_DAYS = setting("EIM_JOURNAL_DAYS", env.number(1), 365, "days that the journal of changes is kept")
AUDIT_DAYS = setting("EIM_AUDIT_DAYS", env.number(1), 365, "days that the audit is kept")
WORKFLOW_RUNS_DAYS = setting(
    "EIM_WORKFLOW_RUNS_DAYS", env.number(1), 365, "days that a run is kept after a later installation of its machine"
)
UPDATE_RUNS_DAYS = setting("EIM_UPDATE_RUNS_DAYS", env.number(1), 365, "days that the history of updates is kept")
UPDATE_RUNS_KEPT = 100  # of one instance, however short a time ago
BULK_IMPORTS_DAYS = setting("EIM_BULK_IMPORTS_DAYS", env.number(1), 30, "days that a bulk import is kept that is done")

CORS_ALLOWED_ORIGINS = setting(
    "EIM_CORS_ORIGINS", env.origins, [], "pages that may call the API from a browser, like https://ui.example.org"
)
CORS_ALLOW_CREDENTIALS = True
CORS_PREFLIGHT_MAX_AGE = 600  # seconds
CORS_ALLOW_HEADERS = [
    *default_headers, "activeprojectid", "if-match", "if-none-match", "idempotency-key", "prefer", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = ["Date", "ETag", "Retry-After", "WWW-Authenticate", "X-Request-ID"]

# Admin, browsable API, Swagger UI and ReDoc have their scripts in files; ReDoc starts its worker from a blob. There is
# no form-action: after a sign-in a form leads on to the page that asked for it, which may be of another origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
)
# Over TLS cookies are Secure (tenants/request.py). Browsers are told to stay with TLS for a year, where this isn't a
# trial on their own machine.
SECURE_HSTS_SECONDS = setting(
    "EIM_HSTS_SECONDS", env.number(0), 0 if is_loopback(EIM_PUBLIC_HOST) else 31_536_000,
    "seconds that browsers shall stay with TLS",
)  # fmt: skip
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

# In every schema: TENANT_APPS; in public only: the rest. ------------------------------------------------------------
SHARED_APPS = [
    "console",  # before Unfold, some of whose templates it replaces
    "unfold.apps.BasicAppConfig",  # before Django's admin, whose templates it replaces
    "tenants.apps.PublicAdminConfig",  # before django_tenants, whose index page hides what is in projects
    "django_tenants",
    "eim_project",
    "tenants",
    "workers",
    "onboarding",
    "provisioning",
    "exporter",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
TENANT_APPS = ["inventory"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "tenants.Project"
EXTRA_SET_TENANT_METHOD_PATH = "tenants.renewal.visit"  # a connection doesn't visit schemas without end
TENANT_LIMIT_SET_CALLS = True  # SET search_path when the schema changes, or a rollback undid it, not for every cursor
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DATABASE_URL = setting(
    "DATABASE_URL", env.database, _running_stack().get("database_url", "postgresql://eim@127.0.0.1/eim"),
    "postgresql://user:password@host:port/name; without it `manage.py up` brings its own", secret=True,
)  # fmt: skip
DATABASES = {"default": _database(DATABASE_URL)}

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "tenants.request.RequestMiddleware",
    "corsheaders.middleware.CorsMiddleware",  # around whatever may refuse: pages of other origins read why
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tenants.limits.AddressMiddleware",
    "tenants.request.OrderlyMiddleware",
    "tenants.middleware.TenantMiddleware",
    "tenants.audit.AuditMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.oidc.ExternalIdentity",
    "tenants.door.ProjectDoor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
WHITENOISE_USE_FINDERS = True  # no collectstatic on a laptop
WHITENOISE_AUTOREFRESH = False

# The look of the admin and the console (console/navigation.py) -----------------------------------------------------
UNFOLD = {
    "SITE_SUBHEADER": "Edge Infrastructure Manager",
    "SITE_ICON": "console.navigation.mark",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"{STATIC_URL}door/mark.svg"}],
    "SITE_DROPDOWN": "console.navigation.elsewhere",
    "ACCOUNT": {"navigation": "console.navigation.account"},
    "SIDEBAR": {"navigation": "console.navigation.sidebar"},
    "DASHBOARD_CALLBACK": "console.installation.told",
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {
        "primary": {
            "50": "#eefafc", "100": "#d3f1f6", "200": "#ace3ed", "300": "#74cddf", "400": "#3aa6bd", "500": "#1b8ca4",
            "600": "#0b6478", "700": "#0a5668", "800": "#0d4756", "900": "#0f3c49", "950": "#052731",
        },
    },
}  # fmt: skip

# REST ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.permissions.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.permissions.HasProjectRole"],
    "DEFAULT_SCHEMA_CLASS": "inventory.api.document.Document",
    "DEFAULT_THROTTLE_CLASSES": ["tenants.limits.TenantThrottle"],
    "EXCEPTION_HANDLER": "inventory.errors.as_response",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Edge Infrastructure Manager",
    "VERSION": "0.1.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_OAUTH2_CONFIG": {
        "clientId": "eim-swagger",
        "scopes": "openid",
        "usePkceWithAuthorizationCodeGrant": True,
    },
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "REDOC_DIST": "SIDECAR",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "Inventory, onboarding and provisioning of edge machines. Paths, names and codes are those of the "
    "archived Edge Infrastructure Manager, so its clients go on working; what is new is said to be.",
    "COMPONENT_NO_READ_ONLY_REQUIRED": True,
    "SCHEMA_PATH_PREFIX": "",
    "PREPROCESSING_HOOKS": ["inventory.api.document.names_of_paths"],
    "POSTPROCESSING_HOOKS": [],  # enums are named by their classes, in inventory.api.document
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True, "docExpansion": "none"},
}

# Redis: presence and cache apart from the broker, so that flushing one leaves the other ------------------------------
_redis = env.url("redis", "rediss")
REDIS_URL = setting(
    "REDIS_URL", _redis, _running_stack().get("redis_url", "redis://127.0.0.1"),
    "redis://:password@host:port; without it `manage.py up` brings its own", secret=True,
)  # fmt: skip
BROKER_URL = setting(
    "CELERY_BROKER_URL", _redis, f"{REDIS_URL}/0", "the workers' queues, on a Redis that evicts nothing", secret=True
)
PRESENCE_URL = setting(
    "EIM_PRESENCE_URL", _redis, f"{REDIS_URL}/1", "where it is kept which machines were heard from", secret=True
)
LIMITS_URL = setting(
    "EIM_LIMITS_URL", _redis, f"{REDIS_URL}/2", "where requests are counted, for the limits", secret=True
)

# Tokens ----------------------------------------------------------------------------------------------------------
TOKEN_LIFETIME = 3600  # seconds; the archived system's access tokens lived as long
SIGN_IN_LIFETIME = 12 * 3600  # seconds since a refresh token was last used
SIGN_IN_LONGEST = 30 * 86400  # seconds since the person signed in
API_TOKEN_LONGEST = 366  # days
# The embedded token service is called https://host/realms/master, with the host that it was reached under: the archived
# system's clients compare that with the address they were told.
_web = env.url("https", "http")
EIM_PUBLIC_URL = setting(
    "EIM_PUBLIC_URL",
    _web,
    "",
    "one name of the token service for all, like https://eim.example; else the host it is asked by",
)
TOKEN_ISSUER = f"{EIM_PUBLIC_URL or f'https://{EIM_PUBLIC_HOST}:{EIM_HTTPS_PORT}'}/realms/master"
EIM_OIDC_ISSUERS = setting(
    "EIM_OIDC_ISSUER",
    env.listed,
    [],
    "issuers whose tokens are accepted beside our own, as their discovery documents say",
)
EIM_OIDC_AUDIENCE = setting(
    "EIM_OIDC_AUDIENCE", env.listed, [], "audiences of their tokens: one of these, if any is named"
)
EIM_OIDC_CA_FILE = setting(
    "EIM_OIDC_CA_FILE", env.text, None, "authority of the issuers' certificates; else the system's authorities"
)
EIM_OIDC_CLIENT_ID = setting("EIM_OIDC_CLIENT_ID", env.text, "", "with which people sign in at the first issuer")
EIM_OIDC_CLIENT_SECRET = setting("EIM_OIDC_CLIENT_SECRET", env.text, "", "of that client", secret=True)
# Whether a request may come over plain HTTP, the address that we listen on decides, not Authlib.
os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")

# Presence ----------------------------------------------------------------------------------------------------------
HEARTBEAT_SECONDS = setting("EIM_HEARTBEAT_SECONDS", env.number(1), 30, "seconds between two heartbeats of an agent")
HEARTBEATS_MISSED = setting(
    "EIM_HEARTBEATS_MISSED", env.number(1), 3, "missed ones after which a host has no connection"
)

# OS profiles, besides files (EIM_OS_PROFILES): tags of an OCI registry ------------------------------------------------
EIM_OS_REGISTRY = setting(
    "EIM_OS_REGISTRY", _web, "", "OCI registry of OS profiles: https://host:port, or http:// behind a proxy"
)
EIM_OS_REGISTRY_PREFIX = setting(
    "EIM_OS_REGISTRY_PREFIX", env.text, "edge-orch/en/files/os-profile/", "how the names of its repositories begin"
)
EIM_OS_REGISTRY_PROFILES = setting(
    "EIM_OS_REGISTRY_PROFILES", env.listed, [], "names of repositories behind the prefix"
)
if bool(EIM_OS_REGISTRY) != bool(EIM_OS_REGISTRY_PROFILES):
    environment.refuse(
        "EIM_OS_REGISTRY and EIM_OS_REGISTRY_PROFILES need each other: where OS profiles are, and which of them. "
        "Set both, or neither"
    )
EIM_OS_REGISTRY_REVISION = setting(
    "EIM_OS_REGISTRY_REVISION", env.text, "~0.0.0", "a tag, or ~1.2.3: 1.2 from there on"
)
EIM_OS_REGISTRY_CREDENTIALS = setting("EIM_OS_REGISTRY_CREDENTIALS", env.text, "", "user:password", secret=True)
EIM_OS_FILES = setting("EIM_OS_FILES", _web, "", "server of the package manifests and lists of CVEs")
EIM_OS_PROFILES_SECONDS = setting(
    "EIM_OS_PROFILES_SECONDS", env.number(1), 43200, "seconds between two passes over them"
)
EIM_OS_PROFILES_LOCAL = setting(
    "EIM_OS_PROFILES_LOCAL", env.switch, False,
    "whether what profiles name may lie on this machine or its link, where a cloud's metadata service is",
)  # fmt: skip

# Reconciliation, in seconds: a lease outlives the task's hard limit, which outlives a driver's own timeout ------------
LEASE = setting("EIM_LEASE", env.number(1, 3600), 60, "seconds after which work of a worker that died is another's")
TASK_HARD_LIMIT = LEASE * 3 / 4
TASK_SOFT_LIMIT = LEASE * 2 / 3
TASK_TURN = LEASE / 12  # after which a task that finds ever more to do lets others have their turn
BUILD_HARD_LIMIT = 840  # seconds; the lease of a build is renewed for as long as its worker lives
WORK_LATE = setting("EIM_WORK_LATE", env.number(1), 300, "seconds after which /readyz and doctor call due work late")
# After these a deleted tenant goes all the same.
TEARDOWN_PATIENCE = setting(
    "EIM_TEARDOWN_PATIENCE", env.number(0), 60, "seconds that a deleted tenant waits for its instances and hosts to end"
)
TEARDOWN_PATIENCE_WORKLOADS = setting(
    "EIM_TEARDOWN_PATIENCE_WORKLOADS", env.number(0), 300, "seconds that it waits for its workloads before"
)

# Provisioning ---------------------------------------------------------------------------------------------------------
_engines = sorted(file.stem for file in (BASE_DIR / "provisioning/engines").glob("[a-z]*.py"))
PROVISIONING_ENGINE = setting("PROVISIONING_ENGINE", env.one_of(*_engines), "embedded", "what runs the workflows")
TINKERBELL_KUBECONFIG = setting(
    "TINKERBELL_KUBECONFIG", env.text, "",
    "where PROVISIONING_ENGINE=tinkerbell makes its objects; without it in the cluster that we run in ourselves",
)  # fmt: skip
TINKERBELL_NAMESPACE = setting("TINKERBELL_NAMESPACE", env.text, "tinkerbell", "the namespace of these objects")
PROVISIONING_LIMIT = setting("EIM_PROVISIONING_LIMIT", env.number(1), 500, "machines installed at once; others queue")
PROVISIONING_LIMIT_TENANT = setting("EIM_PROVISIONING_LIMIT_TENANT", env.number(1), 200, "of these of one tenant")
WORKFLOW_FIRST_WORD = setting(
    "EIM_WORKFLOW_FIRST_WORD", env.number(1), 1800, "seconds that a run waits for the machine's first word"
)
WORKFLOW_SILENCE = setting(
    "EIM_WORKFLOW_SILENCE", env.number(1), 600, "seconds that a machine may be silent that was heard"
)
WORKFLOW_GRACE = setting(
    "EIM_WORKFLOW_GRACE", env.number(0), 60, "seconds beyond its time after which we end an action for the worker"
)
WORKFLOW_PAUSE = setting("EIM_WORKFLOW_PAUSE", env.number(1), 86400, "seconds that a pause may last")
ACTION_IMAGES = setting(
    "EIM_ACTION_IMAGES", env.prefix, "localhost:7443/eim", "registry of the actions' images, as machines see it"
)
ACTION_VERSION = setting("EIM_ACTION_VERSION", env.text, "v1.0.0", "version of the actions' images")
ACTION_IMAGE_OVERRIDES = setting(
    "EIM_ACTION_IMAGE_OVERRIDES", env.pairs, {}, "other images for single actions: name=image,..."
)
EIM_TEMPLATES = setting("EIM_TEMPLATES", env.path, None, "folder of workflow templates, before those we ship")
EIM_INFRA_CONFIG = setting("EIM_INFRA_CONFIG", env.path, None, "file that provisioning/infra.py reads")
EIM_IMAGE_NETWORKS = setting(
    "EIM_IMAGE_NETWORKS", env.networks, [], "loopback and link-local networks that images may lie in, for trials"
)
EIM_DEV_USER = setting("EIM_DEV_USER", env.text, "", "a user with a password on every machine, for development")
EIM_DEV_PASSWORD_HASH = setting("EIM_DEV_PASSWORD_HASH", env.text, "", "of that user, by mkpasswd", secret=True)

# Machines' management: their power, by Redfish and AMT ---------------------------------------------------------------
BMC_NETWORKS = setting(
    "EIM_BMC_NETWORKS", env.networks, [], "loopback and link-local networks that endpoints may be in"
)
BMC_TIMEOUT = setting(
    "EIM_BMC_TIMEOUT", env.seconds(0.1), 20.0, "seconds for one call, however it drips; below EIM_LEASE"
)
if environment.settings["EIM_BMC_TIMEOUT"].is_set and BMC_TIMEOUT >= LEASE:
    environment.refuse(
        f"EIM_BMC_TIMEOUT={BMC_TIMEOUT:g}: it must be less than EIM_LEASE={LEASE}, or calls are made twice"
    )
POWER_POLL = setting("EIM_POWER_POLL", env.seconds(1), 60.0, "seconds from one look at a machine's power to the next")
POWER_GRACE = setting("EIM_POWER_GRACE", env.seconds(0), 60.0, "seconds that a machine has to follow, or is told again")
MPS_URL = setting(
    "EIM_MPS_URL",
    _web,
    "",
    "management presence server of Intel AMT, like http://mps:3000; without both there is no AMT",
)
RPS_URL = setting("EIM_RPS_URL", _web, "", "remote provisioning server of Intel AMT, like http://rps:8081")
MPS_HOST = setting("EIM_MPS_HOST", env.text, EIM_PUBLIC_HOST, "where machines' AMT calls home (CIRA), port 4433")
AMT_RANDOM_PASSWORDS = (
    setting(
        "EIM_AMT_PASSWORDS", env.one_of("static", "dynamic"), "static",
        "dynamic: each machine has its own AMT password; static: one a project",
    ) == "dynamic"
)  # fmt: skip

# Logs ----------------------------------------------------------------------------------------------------------------
LOG_LEVEL = setting(
    "EIM_LOG_LEVEL", env.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO", "what is logged"
)
LOG_FORMAT = setting("EIM_LOG_FORMAT", env.one_of("line", "json"), "line", "json: an object a line, for programs")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"faults": {"()": "eim_project.logging.Faults"}},
    "formatters": {"line": {"()": "eim_project.logging.Line"}, "json": {"()": "eim_project.logging.Json"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR", "filters": ["faults"]},
        "gunicorn.error": {"level": "WARNING", "handlers": ["console"], "propagate": False},
        "authlib": {"level": "INFO"},  # at DEBUG it tells the tokens that it gives
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "sushy": {"level": "CRITICAL"},  # what a controller answers is told where it matters
    },
}

TRACES = setting(
    "OTEL_EXPORTER_OTLP_ENDPOINT", _web, "",
    "collector of OpenTelemetry traces, like http://collector:4318; needs requirements-otel.txt",
)  # fmt: skip

# Read where they are used --------------------------------------------------------------------------------------------
setting("EIM_ADMIN_PASSWORD", env.text, "", "the first administrator's; else one is drawn and shown once", secret=True)
setting("EIM_PASSWORD", env.text, "", "what create_user and set_password give; else one is drawn", secret=True)
setting(
    "EIM_WEB_SERVERS", env.text, "server 127.0.0.1:8001 max_fails=0; server 127.0.0.1:8002 max_fails=0;",
    "the web processes, as nginx names them, for docker/nginx.conf.template",
)  # fmt: skip
setting(
    "EIM_SOUTHBOUND_SERVERS", env.text, "server 127.0.0.1:50061 max_fails=0; server 127.0.0.1:50062 max_fails=0;",
    "the southbound processes, likewise",
)  # fmt: skip

environment.refuse_wrong()
