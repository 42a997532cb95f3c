"""What can go wrong with resources, tenants and identity, a class a cause."""

import re


class TenantError(Exception):
    """The base of all below; str() is the sentence that the operator reads."""


class BadToken(TenantError):
    """The token is missing, expired, malformed or not signed by a key we know."""


class AlreadyClaimed(TenantError):
    """This UUID or serial number belongs to a registered host. Says the same whoever owns it."""


class NotEnrolled(TenantError):
    """The machine didn't show the enrolment token that its host needs."""


class SealedByAnotherKey(TenantError):
    """A secret at rest was sealed with a key that we haven't got."""


class SchemaMissing(TenantError):
    """The template of the tenants' schema can't be made or replayed."""


class BadDefaults(TenantError):
    """What every new tenant begins with can't be read, or isn't what it should be; the sentence names the file."""


class FleetBusy(TenantError):
    """Another run of migrate_fleet holds the lock."""


class MigrationFailed(TenantError):
    """A schema couldn't be brought to the head of the migrations; what it has applied is recorded in it."""


class ResourceError(Exception):
    """The base of what resources refuse. str() is the sentence that the operator reads; code is a name of gRPC's."""

    code, status = "InvalidArgument", 400
    retry_after = 0  # seconds after which trying again makes sense; 0: it never does


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


class LastAdministrator(ResourceError):
    """Nobody would be left who may do everything."""

    code = "FailedPrecondition"


class NotAllowed(ResourceError):
    """Whoever asks has not the role for it."""

    code, status = "PermissionDenied", 403


class NotFound(ResourceError):
    """No such resource in this project."""

    code, status = "NotFound", 404


class IssuerAway(ResourceError):
    """The keys that a token could be verified with can't be had now."""

    code, status = "Unavailable", 503


class NoAccess(ResourceError):
    """The project isn't there, or whoever asks has no business in it: the same sentence for both."""

    code, status = "PermissionDenied", 403

    def __init__(self) -> None:
        super().__init__("You have no access to this project, or it doesn't exist.")


class Unserved(ResourceError):
    """A project that is there can't be used now; `project` is which, and only who has a role in it is told."""

    def __init__(self, sentence: str, project) -> None:
        super().__init__(sentence)
        self.project = project


class NotYetReady(Unserved):
    """The project is being made."""

    code, status, retry_after = "Unavailable", 503, 2


class OnItsWayOut(Unserved):
    """The project is being deleted."""

    code, status = "PermissionDenied", 403


class WhichProject(ResourceError):
    """The request names no project, and its token doesn't have roles in exactly one."""


class NotAProject(ResourceError):
    """What should name the project can't be a name or a UUID at all."""

    code, status = "Unauthenticated", 401


class TooMany(ResourceError):
    """Too many requests, or too many wrong passwords."""

    code, status = "ResourceExhausted", 429

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class TooLarge(ResourceError):
    """The body has more bytes than the route takes."""

    status = 413


class NotPrintable(ResourceError):
    """A header or the body has characters that nobody can read."""


class LeaseLost(Exception):
    """A worker whose lease ran out tried to write. Not for operators: the loop drops the work."""


class Gone(Exception):
    """The row went while somebody was about to write facts to it."""


def challenge(error: str, description: str) -> str:
    """What WWW-Authenticate says of a 401 (RFC 6750, 3). A description may have no quotes, backslashes and controls."""
    said = re.sub(r"[^\x20-\x7e]", "?", description.replace('"', "'").replace("\\", "/"))[:300]
    return ", ".join(['Bearer realm="eim"', *([f'error="{error}"'] if error else []), f'error_description="{said}"'])
