"""Installing a host: which operating system, with what; the same as making its instance by the API. And where it is

said what is installed without anybody asking.
"""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from console.frame import page
from inventory.defaults import PROVIDER
from inventory.models import (
    CustomConfig,
    Customization,
    Host,
    Instance,
    InstanceKind,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    Provider,
    SecurityFeature,
)  # fmt: skip
from tenants.errors import ResourceError

FEATURES = [
    (SecurityFeature.NONE.value, "None"),
    (SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION.value, "Secure Boot and full disk encryption"),
]


class ByName(forms.ModelChoiceField):
    def label_from_instance(self, row):
        return f"{getattr(row, 'name', '') or getattr(row, 'username', '')} ({row})"


class ManyByName(forms.ModelMultipleChoiceField):
    label_from_instance = ByName.label_from_instance


class InstallForm(forms.Form):
    """Choices are looked up anew for each form."""

    os = ByName(
        OperatingSystem.objects.filter(retracted=False).order_by("name"), to_field_name="resource_id",
        label="Operating system", empty_label="Choose one",
    )  # fmt: skip
    security_feature = forms.ChoiceField(choices=FEATURES, label="Security", required=False)
    local_account = ByName(
        LocalAccount.objects.order_by("username"), to_field_name="resource_id", required=False,
        label="Who may sign in by SSH", empty_label="Nobody",
    )  # fmt: skip
    custom_config = ManyByName(
        CustomConfig.objects.order_by("name"), to_field_name="resource_id", required=False, label="Custom configs",
        widget=forms.CheckboxSelectMultiple, help_text="Cloud-init of the first start; several are merged.",
    )  # fmt: skip

    @transaction.atomic
    def install(self, host: Host) -> Instance:
        """Raises ResourceError and ValidationError, in the words of the model."""
        said = self.cleaned_data
        instance = Instance(
            name=f"{host.name}-instance"[:40], kind=InstanceKind.METAL, host=host, os=said["os"],
            security_feature=said["security_feature"] or SecurityFeature.NONE, local_account=said["local_account"],
        )  # fmt: skip
        instance.ask(state=InstanceState.RUNNING)
        Customization.objects.bulk_create(
            Customization(instance=instance, custom_config=one) for one in said["custom_config"]
        )
        return instance


def install(request: HttpRequest, resource_id: str) -> HttpResponse:
    host = Host.objects.filter(resource_id=resource_id[:24]).first()
    if host is None:
        raise Http404
    form = InstallForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            form.install(host)
        except ValidationError as wrong:
            form.add_error(None, wrong.messages)
        except ResourceError as why:
            form.add_error(None, str(why))
        else:
            messages.success(request, f"{host.name}: its installation begins when its machine is onboarded and calls.")
            return HttpResponseRedirect(reverse("console:host", args=[host.resource_id]))
    return page(request, "console/install.html", title=f"Install {host.name}", form=form, host=host)


@require_safe
def zero_touch(request: HttpRequest) -> HttpResponse:
    """It is the config of a provider, which may have been deleted: then it is made anew."""
    provider = Provider.objects.filter(name=PROVIDER).first()
    if provider is not None:
        return HttpResponseRedirect(reverse("project:inventory_provider_change", args=[provider.pk]))
    return HttpResponseRedirect(f"{reverse('project:inventory_provider_add')}?name={PROVIDER}")
