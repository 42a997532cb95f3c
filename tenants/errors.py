"""What can go wrong with resources, tenants and identity, a class a cause."""


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


class ResourceError(Exception):
    """The base of what resources refuse. str() is the sentence that the operator reads; code is a name of gRPC's."""

    code, status = "InvalidArgument", 400


class TransitionNotAllowed(ResourceError):
    """The wish can't follow from what is."""


class NotYours(ResourceError):
    """A column was written by somebody who has no business with it: wishes by ask(), facts by observe()."""

    code, status = "PermissionDenied", 403


class InUse(ResourceError):
    """It can't go while others refer to it."""

    code = "FailedPrecondition"


class Duplicate(ResourceError):
    """Something of this name, UUID or serial number is there already."""

    code = "FailedPrecondition"


class NotFound(ResourceError):
    """No such resource in this project."""

    code, status = "NotFound", 404


class IssuerAway(ResourceError):
    """The keys that a token could be verified with can't be had now."""

    code, status = "Unavailable", 503


class LeaseLost(Exception):
    """A worker whose lease ran out tried to write. Not for operators: the loop drops the work."""


class Gone(Exception):
    """The row went while somebody was about to write facts to it."""
