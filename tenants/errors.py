"""What can go wrong with tenants and identity, a class a cause."""


class TenantError(Exception):
    """The base of all below; str() is the sentence that the operator reads."""


class BadToken(TenantError):
    """The token is missing, expired, malformed or not signed by a key we know."""


class AlreadyClaimed(TenantError):
    """This UUID or serial number belongs to a registered host. Says the same whoever owns it."""


class SchemaMissing(TenantError):
    """The template of the tenants' schema can't be made or replayed."""


class FleetBusy(TenantError):
    """Another run of migrate_fleet holds the lock."""


class MigrationFailed(TenantError):
    """A schema couldn't be brought to the head of the migrations; what it has applied is recorded in it."""
