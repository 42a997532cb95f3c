"""What becomes of a machine that is let in without anybody saying: the rules in the config of the project's provider.

The provider is the one called infra_onboarding, its config JSON, as the archived system had it: autoProvision,
defaultOs, defaultLocalAccount, osSecurityFeatureEnable; and ours: enrolmentRequired.
"""

import json
import logging
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from inventory.defaults import PROVIDER
from inventory.models import (
    Host,
    Indicator,
    Instance,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    Provider,
    SecurityFeature,
    Status,
)
from tenants.errors import ResourceError
from tenants.events import acting_as

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """auto_provision: an instance of default_os is wished for every machine that has none."""

    auto_provision: bool = False
    default_os: str = ""
    default_local_account: str = ""
    os_security_feature_enable: bool = False
    enrolment_required: bool = False  # no machine of the project is let in without a token
    wrong: str = ""  # why it can't be read


def config() -> Config:
    """Of the current schema. One that can't be read begins nothing, and asks for tokens if it says so at all."""
    text = Provider.objects.filter(name=PROVIDER).values_list("config", flat=True).first()
    if not text:
        return Config()
    try:
        said = {str(key).lower(): value for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        return Config(enrolment_required="enrolmentrequired" in text.lower(), wrong=f"{text[:60]!r} is no JSON object")
    return Config(
        auto_provision=said.get("autoprovision") is True,
        default_os=str(said.get("defaultos") or ""),
        default_local_account=str(said.get("defaultlocalaccount") or ""),
        os_security_feature_enable=said.get("ossecurityfeatureenable") is True,
        enrolment_required=said.get("enrolmentrequired") not in (None, False),
    )


def begin(host: Host, rules: Config) -> Status | None:
    """Wish for what the rules say, if the host has no instance; a machine that calls again changes nothing.

    None if nothing is wrong; else what its operator is shown. The machine is onboarded in any case.
    """
    if not (rules.auto_provision or rules.wrong) or Instance.objects.filter(host=host).exists():
        return None
    try:
        if rules.wrong:
            raise ValidationError(f"the config of provider {PROVIDER}: {rules.wrong}")
        with acting_as("zero touch"), transaction.atomic():
            _instance(host, rules).ask(state=InstanceState.RUNNING)
    except (ValidationError, ResourceError) as wrong:
        why = "; ".join(wrong.messages) if isinstance(wrong, ValidationError) else str(wrong)
        log.warning("nothing is installed by zero touch", extra={"host": host.resource_id, "because": why})
        return Status(f"Onboarded: zero touch failed: {why}"[:1024], Indicator.IDLE)
    return None


def _instance(host: Host, rules: Config) -> Instance:
    system = OperatingSystem.objects.filter(resource_id=rules.default_os).first()
    if system is None:
        raise ValidationError(f"the config of provider {PROVIDER}: there is no defaultOs {rules.default_os!r}")
    account = LocalAccount.objects.filter(resource_id=rules.default_local_account).first()
    if account is None and rules.default_local_account:
        raise ValidationError(
            f"the config of provider {PROVIDER}: there is no defaultLocalAccount {rules.default_local_account!r}"
        )
    secured = rules.os_security_feature_enable and system.security_feature != SecurityFeature.UNSPECIFIED
    feature = system.security_feature if secured else SecurityFeature.NONE
    return Instance(host=host, os=system, local_account=account, security_feature=feature)
