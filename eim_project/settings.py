"""All settings, from the environment, each with a default that works on a laptop."""

import hashlib
import ipaddress
import json
import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _default_data() -> Path:
    """As root under /var/lib, because embedded Postgres opens its folder's parents; else inside the checkout."""
    if os.geteuid() == 0:
        return Path("/var/lib/eim") / hashlib.sha256(str(BASE_DIR).encode()).hexdigest()[:12]
    return BASE_DIR / "var"


def _secret_key() -> str:
    """EIM_SECRET_KEY, else one made on the first start and kept: it seals what is encrypted at rest."""
    if key := os.environ.get("EIM_SECRET_KEY"):
        return key
    kept = EIM_DATA / "secret_key"
    EIM_DATA.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass  # made by an earlier start
    return kept.read_text()


def _listed(name: str) -> list[str]:
    """An environment variable that is a list, parted by commas."""
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def _networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(item, strict=False) for item in _listed(name)]
    except ValueError as wrong:
        raise ImproperlyConfigured(f"{name}: {wrong}; it lists addresses and networks, like 10.0.0.0/8") from wrong


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


def _port(name: str, default: int) -> int:
    told = os.environ.get(f"EIM_{name.upper()}_PORT") or _running_stack().get(name, str(default))
    return int(told.rpartition(":")[2])


def _database(url: str) -> dict:
    """postgresql://user:password@host:port/name as Django wants it; a host given as ?host= may be a socket folder."""
    parts = urlsplit(url)
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django_tenants.postgresql_backend",
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
EIM_DATA = Path(os.environ.get("EIM_DATA") or DEFAULT_DATA)
EIM_ARTIFACTS = Path(os.environ.get("EIM_ARTIFACTS") or EIM_DATA / "artifacts")
EIM_OS_PROFILES = Path(folder) if (folder := os.environ.get("EIM_OS_PROFILES")) else None  # besides those we ship
EIM_CA_FILE = Path(os.environ.get("EIM_CA_FILE") or EIM_DATA / "tls/ca.crt")
EIM_IPXE_SOURCE = Path(folder) if (folder := os.environ.get("EIM_IPXE_SOURCE")) else None  # a tree to build iPXE from
EIM_AIRGAP = Path(folder) if (folder := os.environ.get("EIM_AIRGAP")) else None  # where files to mirror come from
EIM_DOWNLOADS = int(os.environ.get("EIM_DOWNLOADS", "8"))  # at once, of 16 web threads; the API has the others
EIM_TLS_CERT = Path(os.environ.get("EIM_TLS_CERT") or EIM_DATA / "tls/server.crt")
EIM_TLS_KEY = Path(os.environ.get("EIM_TLS_KEY") or EIM_DATA / "tls/server.key")

# How machines reach us; advertised in boot scripts and written into installed systems ---------------------------------
EIM_PUBLIC_HOST = os.environ.get("EIM_PUBLIC_HOST") or _running_stack().get("public_host", "127.0.0.1")
EIM_BIND = os.environ.get("EIM_BIND", "127.0.0.1")  # the address our own servers listen on
EIM_HTTP_PORT = _port("http", 8000)
EIM_HTTPS_PORT = _port("https", 8443)
EIM_GRPC_PORT = _port("grpc", 50051)
EIM_EXPORTER_PORT = _port("exporter", 9101)
EXPORTER_KEEPS = float(os.environ.get("EIM_EXPORTER_KEEPS", "5"))  # seconds that an answer is good for
EIM_FLOWER_URL = os.environ.get("EIM_FLOWER_URL", "")  # where administrators find Flower; no link without it

# Django ----------------------------------------------------------------------------------------------------------
SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = _listed("EIM_SECRET_KEY_FALLBACKS")  # older ones: what they signed and sealed stays good
SECRET_KEYS = _listed("EIM_SECRET_KEYS")  # that seal secrets at rest, newest first (tenants/secrets.py)
DEBUG = os.environ.get("EIM_DEBUG") == "1"
ALLOWED_HOSTS = [
    *dict.fromkeys(["localhost", "127.0.0.1", "[::1]", "10.0.2.2", EIM_PUBLIC_HOST]),
    *_listed("EIM_ALLOWED_HOSTS"),
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
# off: whoever asks without a token may do everything. For trying things out on one machine, which alone reaches it.
AUTHENTICATION = os.environ.get("EIM_AUTH", "on") != "off"
if not AUTHENTICATION and not is_loopback(EIM_BIND):
    raise ImproperlyConfigured(
        f"EIM_AUTH=off opens everything to whoever reaches this server, and EIM_BIND={EIM_BIND} lets others reach it: "
        "unset one of them"
    )
# Whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses and networks. Nobody's, by default.
TRUSTED_PROXIES = _networks("EIM_TRUSTED_PROXIES")
# Requests of one client address and of one tenant; `off` is no limit. Far above what one person, a bulk import or a
# page that polls needs, and well below what one web process can answer to a flood.
LIMIT_ADDRESS = os.environ.get("EIM_LIMIT_ADDRESS", "1000/second")
LIMIT_TENANT = os.environ.get("EIM_LIMIT_TENANT", "2000/second")
UPDATE_RUNS_DAYS = int(os.environ.get("EIM_UPDATE_RUNS_DAYS", "365"))  # that the history of updates is kept
UPDATE_RUNS_KEPT = 100  # of one instance, however short a time ago
AUDIT_DAYS = int(os.environ.get("EIM_AUDIT_DAYS", "365"))

# Pages of other origins that may call the API from a browser, like https://ui.example.org: none by default.
CORS_ALLOWED_ORIGINS = _listed("EIM_CORS_ORIGINS")
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
SECURE_HSTS_SECONDS = int(os.environ.get("EIM_HSTS_SECONDS", "0" if is_loopback(EIM_PUBLIC_HOST) else "31536000"))
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

# In every schema: TENANT_APPS; in public only: the rest. ------------------------------------------------------------
SHARED_APPS = [
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
DATABASE_URL = os.environ.get("DATABASE_URL") or _running_stack().get("database_url", "postgresql://eim@127.0.0.1/eim")
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
REDIS_URL = (os.environ.get("REDIS_URL") or _running_stack().get("redis_url", "redis://127.0.0.1")).rstrip("/")
BROKER_URL = os.environ.get("CELERY_BROKER_URL") or f"{REDIS_URL}/0"
PRESENCE_URL = f"{REDIS_URL}/1"
LIMITS_URL = os.environ.get("EIM_LIMITS_URL") or f"{REDIS_URL}/2"

# Tokens ----------------------------------------------------------------------------------------------------------
TOKEN_LIFETIME = 3600  # seconds; the archived system's access tokens lived as long
SIGN_IN_LIFETIME = 12 * 3600  # seconds since a refresh token was last used
SIGN_IN_LONGEST = 30 * 86400  # seconds since the person signed in
API_TOKEN_LONGEST = 366  # days
# The embedded token service is called https://host/realms/master, with the host that it was reached under: the archived
# system's clients compare that with the address they were told. EIM_PUBLIC_URL (https://eim.example) is one for all.
EIM_PUBLIC_URL = os.environ.get("EIM_PUBLIC_URL", "").rstrip("/")
TOKEN_ISSUER = f"{EIM_PUBLIC_URL or f'https://{EIM_PUBLIC_HOST}:{EIM_HTTPS_PORT}'}/realms/master"
# Issuers whose tokens are accepted beside our own, each as its discovery document says it; comma-separated.
EIM_OIDC_ISSUERS = [*filter(None, os.environ.get("EIM_OIDC_ISSUER", "").split(","))]
EIM_OIDC_AUDIENCE = [*filter(None, os.environ.get("EIM_OIDC_AUDIENCE", "").split(","))]  # one of these, if any is named
EIM_OIDC_CA_FILE = os.environ.get("EIM_OIDC_CA_FILE") or None  # the system's authorities, if none is named
EIM_OIDC_CLIENT_ID = os.environ.get("EIM_OIDC_CLIENT_ID", "")  # people sign in at the first issuer, if there is one
EIM_OIDC_CLIENT_SECRET = os.environ.get("EIM_OIDC_CLIENT_SECRET", "")
# Whether a request may come over plain HTTP, the address that we listen on decides, not Authlib.
os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")

# Presence ----------------------------------------------------------------------------------------------------------
HEARTBEAT_SECONDS = int(os.environ.get("EIM_HEARTBEAT_SECONDS", "30"))  # between two heartbeats of an agent
HEARTBEATS_MISSED = int(os.environ.get("EIM_HEARTBEATS_MISSED", "3"))  # after so many a host has no connection

# OS profiles, besides files (EIM_OS_PROFILES): tags of an OCI registry ------------------------------------------------
EIM_OS_REGISTRY = os.environ.get("EIM_OS_REGISTRY", "").rstrip("/")  # https://host:port, or http:// behind a proxy
EIM_OS_REGISTRY_PREFIX = os.environ.get("EIM_OS_REGISTRY_PREFIX", "edge-orch/en/files/os-profile/")
EIM_OS_REGISTRY_PROFILES = _listed("EIM_OS_REGISTRY_PROFILES")  # names of repositories behind the prefix
EIM_OS_REGISTRY_REVISION = os.environ.get("EIM_OS_REGISTRY_REVISION", "~0.0.0")  # a tag, or ~1.2.3: 1.2 from there on
EIM_OS_REGISTRY_CREDENTIALS = os.environ.get("EIM_OS_REGISTRY_CREDENTIALS", "")  # user:password
EIM_OS_FILES = os.environ.get("EIM_OS_FILES", "").rstrip("/")  # server of the package manifests and lists of CVEs
EIM_OS_PROFILES_SECONDS = int(os.environ.get("EIM_OS_PROFILES_SECONDS", "43200"))  # between two passes
# Whether what profiles name may lie on this machine or its link; a metadata service of a cloud lies on the link.
EIM_OS_PROFILES_LOCAL = os.environ.get("EIM_OS_PROFILES_LOCAL", "off") == "on"

# Reconciliation, in seconds: a lease outlives the task's hard limit, which outlives a driver's own timeout ------------
LEASE = int(os.environ.get("EIM_LEASE", "60"))
TASK_HARD_LIMIT = LEASE * 3 / 4
TASK_SOFT_LIMIT = LEASE * 2 / 3
TASK_TURN = LEASE / 12  # after which a task that finds ever more to do lets others have their turn
BUILD_HARD_LIMIT = 840  # seconds; the lease of a build is renewed for as long as its worker lives
# How long a tenant that is deleted waits for what must end before it, in seconds; then it goes all the same.
TEARDOWN_PATIENCE = int(os.environ.get("EIM_TEARDOWN_PATIENCE", "60"))  # instances, hosts
TEARDOWN_PATIENCE_WORKLOADS = int(os.environ.get("EIM_TEARDOWN_PATIENCE_WORKLOADS", "300"))

# Provisioning ---------------------------------------------------------------------------------------------------------
PROVISIONING_ENGINE = os.environ.get("PROVISIONING_ENGINE", "embedded")  # a module of provisioning/engines
PROVISIONING_LIMIT = int(os.environ.get("EIM_PROVISIONING_LIMIT", "500"))  # machines installed at once; others queue
PROVISIONING_LIMIT_TENANT = int(os.environ.get("EIM_PROVISIONING_LIMIT_TENANT", "200"))
# In seconds: how long a run waits for the machine's first word, how long a machine may be silent that was heard, how
# much longer than its time an action may take before we end it for the worker, and how long a pause may last.
WORKFLOW_FIRST_WORD = int(os.environ.get("EIM_WORKFLOW_FIRST_WORD", "1800"))
WORKFLOW_SILENCE = int(os.environ.get("EIM_WORKFLOW_SILENCE", "600"))
WORKFLOW_GRACE = int(os.environ.get("EIM_WORKFLOW_GRACE", "60"))
WORKFLOW_PAUSE = int(os.environ.get("EIM_WORKFLOW_PAUSE", "86400"))
# The registry and version of the actions' images, as machines see them, and others for single actions: name=image,...
ACTION_IMAGES = os.environ.get("EIM_ACTION_IMAGES", "localhost:7443/eim").rstrip("/")
ACTION_VERSION = os.environ.get("EIM_ACTION_VERSION", "v1.0.0")
ACTION_IMAGE_OVERRIDES = dict(item.partition("=")[::2] for item in _listed("EIM_ACTION_IMAGE_OVERRIDES"))
EIM_TEMPLATES = Path(folder) if (folder := os.environ.get("EIM_TEMPLATES")) else None  # before those we ship
EIM_INFRA_CONFIG = Path(file) if (file := os.environ.get("EIM_INFRA_CONFIG")) else None  # provisioning/infra.py
# Loopback and link-local networks in which images may lie all the same, for trying things out.
EIM_IMAGE_NETWORKS = _networks("EIM_IMAGE_NETWORKS")
# A user with a password on every machine that is installed: for development. The hash is one of mkpasswd.
EIM_DEV_USER = os.environ.get("EIM_DEV_USER", "")
EIM_DEV_PASSWORD_HASH = os.environ.get("EIM_DEV_PASSWORD_HASH", "")

# Machines' management: their power, by Redfish and AMT ---------------------------------------------------------------
BMC_NETWORKS = _networks("EIM_BMC_NETWORKS")  # loopback and link-local ones that endpoints may be in: none by default
BMC_TIMEOUT = float(os.environ.get("EIM_BMC_TIMEOUT", "20"))  # seconds for one call, however it drips; below LEASE
POWER_POLL = float(os.environ.get("EIM_POWER_POLL", "60"))  # seconds from one look at a machine's power to the next
POWER_GRACE = float(os.environ.get("EIM_POWER_GRACE", "60"))  # seconds that a machine has to follow, or is told again
# Intel AMT goes through a management presence server (MPS) and a remote provisioning server (RPS), like
# http://mps:3000 and http://rps:8081. Without them there is no AMT.
MPS_URL = os.environ.get("EIM_MPS_URL", "").rstrip("/")
RPS_URL = os.environ.get("EIM_RPS_URL", "").rstrip("/")
MPS_HOST = os.environ.get("EIM_MPS_HOST", EIM_PUBLIC_HOST)  # where machines' AMT calls home (CIRA), port 4433
AMT_RANDOM_PASSWORDS = os.environ.get("EIM_AMT_PASSWORDS", "static") == "dynamic"  # of machines; else one a project

# Where PROVISIONING_ENGINE=tinkerbell makes its objects. Without a kubeconfig: in the cluster that we run in ourselves.
TINKERBELL_KUBECONFIG = os.environ.get("TINKERBELL_KUBECONFIG", "")
TINKERBELL_NAMESPACE = os.environ.get("TINKERBELL_NAMESPACE", "tinkerbell")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"faults": {"()": "eim_project.logging.Faults"}},
    "formatters": {"line": {"()": "eim_project.logging.Line"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("EIM_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR", "filters": ["faults"]},
        "authlib": {"level": "INFO"},  # at DEBUG it tells the tokens that it gives
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "sushy": {"level": "CRITICAL"},  # what a controller answers is told where it matters
    },
}
