"""How operating systems are updated: policies, and the runs that followed them."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MinValueValidator
from django.db import models

from inventory.models.base import EpochField, Resource, name_field, status
from inventory.models.columns import PLAIN, QUOTED, letters, said, texts
from inventory.models.os import OperatingSystem

OPEN = 9_999_999_999  # the end of a run that has none yet, as clients know it
SOURCE = r'[a-zA-Z0-9\-_./:;=@?!#,<>*+()\[\]" \n]*'


class UpdatePolicy(models.TextChoices):
    UNSPECIFIED = "UPDATE_POLICY_UNSPECIFIED"
    LATEST = "UPDATE_POLICY_LATEST"
    TARGET = "UPDATE_POLICY_TARGET"


class OsUpdatePolicy(Resource):
    """What an instance is updated to: the latest that there is, or what is named here."""

    prefix = "osupdatepolicy"
    fixed = {"update_policy", "update_packages", "update_sources", "update_kernel_command", "target_os"}

    name = name_field(blank=False)
    description = models.CharField(max_length=200, blank=True, validators=[letters(PLAIN)])
    update_policy = models.CharField(max_length=32, choices=UpdatePolicy)
    # Of a mutable system: packages by name, and the sources, in the words of apt, that they come from.
    update_packages = models.TextField(
        max_length=500_000,
        blank=True,
        validators=[letters(r"._/:;=@?!#,<>\-*+~()\[\]{}\" \n"), MaxLengthValidator(500_000)],
    )
    update_sources = texts(SOURCE, 10_000)
    update_kernel_command = models.CharField(max_length=500, blank=True, validators=[letters(QUOTED)])
    # Of an immutable one.
    target_os = models.ForeignKey(
        OperatingSystem, null=True, blank=True, on_delete=models.SET_NULL, related_name="update_policies",
        to_field="resource_id",
    )  # fmt: skip

    class Meta(Resource.Meta):
        verbose_name = "OS update policy"
        verbose_name_plural = "OS update policies"

    def clean(self):
        if self.pk or self.was_elsewhere:
            return  # its target may have gone meanwhile, and what a policy says doesn't change
        targets = said(self, "target_os", "update_packages", "update_sources", "update_kernel_command")
        match self.update_policy:
            case UpdatePolicy.LATEST if targets:
                raise ValidationError("an updatePolicy of UPDATE_POLICY_LATEST names nothing else to update to")
            case UpdatePolicy.TARGET if not targets:
                raise ValidationError(
                    "an updatePolicy of UPDATE_POLICY_TARGET needs targetOsId, updatePackages, updateSources or "
                    "updateKernelCommand"
                )
            case UpdatePolicy.TARGET if "target_os" in targets and {*targets} & {"update_packages", "update_sources"}:
                raise ValidationError("targetOsId is of immutable systems; updatePackages and updateSources are not")
            case UpdatePolicy.LATEST | UpdatePolicy.TARGET:
                return
        raise ValidationError("updatePolicy is UPDATE_POLICY_LATEST or UPDATE_POLICY_TARGET")


class OsUpdateRun(Resource):
    """That an instance was updated: by which policy, when, and how it went."""

    prefix = "osupdaterun"
    statuses = {"status"}
    observed = {"status_details", "end_time"}
    fixed = {"name", "description", "applied_policy", "instance", "start_time"}

    name = models.CharField(max_length=40, blank=True, validators=[letters(PLAIN)])
    description = models.CharField(max_length=200, blank=True, validators=[letters(PLAIN)])
    applied_policy = models.ForeignKey(
        OsUpdatePolicy, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs", to_field="resource_id"
    )
    instance = models.ForeignKey(
        "inventory.Instance", on_delete=models.PROTECT, related_name="os_update_runs", to_field="resource_id"
    )
    start_time = EpochField(validators=[MinValueValidator(1)])
    end_time = EpochField(default=0, editable=False)
    status, status_indicator, status_timestamp = status()
    status_details = models.TextField(blank=True, editable=False)  # JSON, as the machine reports it

    class Meta(Resource.Meta):
        verbose_name = "OS update run"
