"""Organizations, projects (a project is a tenant: a UUID and a schema), who may do what in them, and the shared tables.

The shared tables (Claim, Ring, Event, BulkImport and, upstairs, Work and Workflow) hold rows of all tenants. Row-level
security (tenants/rls.py) lets a connection see only the rows of the schema that its search_path begins with, and all
of them from public; a fresh connection, whose search_path is neither, sees none.
"""

from tenants.models.audit import Audit
from tenants.models.bulk import BulkImport, BulkImportState, BulkRow
from tenants.models.journal import Event, Ring
from tenants.models.machine import Claim, EdgeCredential, Enrolment, Port
from tenants.models.people import Grant, Role, User
from tenants.models.project import Organization, Project, TenantState
from tenants.models.schema import SchemaTemplate
from tenants.models.token import ApiToken, AuthorizationCode, Client, RevokedNode, SignIn, SigningKey

__all__ = [
    "ApiToken", "Audit", "AuthorizationCode", "BulkImport", "BulkImportState", "BulkRow", "Claim", "Client",
    "EdgeCredential", "Enrolment", "Event", "Grant", "Organization", "Port", "Project", "RevokedNode", "Ring", "Role",
    "SchemaTemplate", "SignIn", "SigningKey", "TenantState", "User",
]  # fmt: skip
