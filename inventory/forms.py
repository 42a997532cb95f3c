"""How the admin asks for columns: by names instead of ids, lists as lines."""

import json

from django import forms
from django.db.models import Model
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanWidget,
)

from inventory.models import LocalAccount, OperatingSystem, OsUpdatePolicy, Provider, TelemetryProfile


class MetadataLines(forms.CharField):
    """Metadata as lines: city=berlin"""

    def __init__(self, **kwargs) -> None:
        kept = {name: kwargs[name] for name in ("label", "required", "validators") if name in kwargs}
        super().__init__(
            **kept, strip=False, help_text="One a line, as key=value.",
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        )  # fmt: skip

    def prepare_value(self, value):
        if not isinstance(value, list):
            return value  # what somebody typed, shown again
        return "\n".join(f"{pair['key']}={pair['value']}" for pair in value)

    def to_python(self, value):
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        if wrong := [line for line in lines if "=" not in line]:
            raise forms.ValidationError(f"{wrong[0]!r} has no =: it is key=value")
        pairs = (line.partition("=") for line in lines)
        return [{"key": key.strip(), "value": said.strip()} for key, _, said in pairs]

    def has_changed(self, initial, data):
        return (initial or []) != self.to_python(data)


class Lines(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, **kwargs) -> None:
        kept = {name: kwargs[name] for name in ("label", "required", "validators") if name in kwargs}
        super().__init__(
            **kept, strip=False, help_text="One a line.", widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
        )

    def prepare_value(self, value):
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value):
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def has_changed(self, initial, data):
        return (initial or []) != self.to_python(data)


class Degrees(forms.DecimalField):
    """Degrees, of a column that has them times ten million."""

    def __init__(self, **kwargs) -> None:
        most = max(validator.limit_value for validator in kwargs.pop("validators", ())) / 10**7
        super().__init__(
            label=kwargs["label"], required=False, min_value=-most, max_value=most, decimal_places=7,
            help_text="Degrees; north and east are positive.", widget=UnfoldAdminDecimalFieldWidget(),
        )  # fmt: skip

    def prepare_value(self, value):
        return value / 10**7 if isinstance(value, int) else value

    def clean(self, value):
        return int(super().clean(value).scaleb(7)) if value not in self.empty_values else 0

    def has_changed(self, initial, data):
        return True  # what it is compared with is written otherwise


def named(resource: Model) -> str:
    """Its name, and the id that tells it from others of that name."""
    name = getattr(resource, "name", "") or getattr(resource, "username", "")
    return f"{name} ({resource})" if name and name != str(resource) else str(resource)


class Named(forms.ModelChoiceField):
    """One of them, by its name; its id is what is kept."""

    def __init__(self, queryset, **kwargs) -> None:
        super().__init__(
            queryset, to_field_name="resource_id", required=False, widget=UnfoldAdminSelectWidget(), **kwargs
        )

    def label_from_instance(self, obj) -> str:
        return named(obj)


class ProviderForm(forms.ModelForm):
    """Credentials are written, and never shown: left empty, they stay as they are."""

    credentials = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "autocomplete": "off"}),
        help_text="One a line, as the vendor wants them: user name and password, for Redfish. Kept sealed.",
    )  # fmt: skip

    class Meta:
        help_texts = {
            "provider_vendor": "Whose protocol its controllers speak.",
            "api_endpoint": "Of one controller, like https://10.1.0.7; or https://&lt;bmcIp&gt;, for the address "
            "that each host's machine reports.",
            "config": 'JSON. Of Redfish: {"network": "10.1.0.0/16"} says which addresses &lt;bmcIp&gt; may be.',
        }  # fmt: skip

    def _post_clean(self):
        if said := self.cleaned_data.get("credentials"):
            self.instance.credentials = said.splitlines()
        super()._post_clean()


class ZeroTouchForm(forms.ModelForm):
    """What becomes of a machine that is let in and has no instance: the config of the provider of our own."""

    auto_provision = forms.BooleanField(
        required=False, label="Install by itself", widget=UnfoldBooleanWidget(),
        help_text="A machine that is onboarded without an operating system is given the one below.",
    )  # fmt: skip
    default_os = Named(OperatingSystem.objects.filter(retracted=False).order_by("name"), label="Operating system")
    default_local_account = Named(LocalAccount.objects.order_by("username"), label="Who may sign in by SSH")
    os_security_feature_enable = forms.BooleanField(
        required=False, label="Secure Boot and full disk encryption", widget=UnfoldBooleanWidget(),
        help_text="Where the operating system has them.",
    )  # fmt: skip
    enrolment_required = forms.BooleanField(
        required=False, label="Only with a token", widget=UnfoldBooleanWidget(),
        help_text="No machine of this project is let in unless it shows the token of an enrolment.",
    )  # fmt: skip

    KEPT = {
        "auto_provision": "autoProvision", "default_os": "defaultOs", "default_local_account": "defaultLocalAccount",
        "os_security_feature_enable": "osSecurityFeatureEnable", "enrolment_required": "enrolmentRequired",
    }  # fmt: skip

    class Meta:
        model = Provider
        fields: list[str] = []

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        said = self._said()
        self.initial |= {name: said[key] for name, key in self.KEPT.items() if key in said}

    def _said(self) -> dict:
        try:
            said = json.loads(self.instance.config or "{}")
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("auto_provision") and not cleaned.get("default_os") and "default_os" not in self.errors:
            self.add_error("default_os", "Which one? It is installed on whatever machine is onboarded.")
        said = self._said()  # whatever else it holds stays
        for name, key in self.KEPT.items():
            value = cleaned.get(name)
            said[key] = value if isinstance(value, bool) else str(value or "")
        self.instance.config = json.dumps({key: value for key, value in said.items() if value != ""})
        return cleaned


class PolicyForm(forms.Form):
    """Of several instances at once."""

    policy = Named(OsUpdatePolicy.objects.order_by("name"), label="Update policy", empty_label="None")


class TelemetryProfileForm(forms.ModelForm):
    """Its kind is its group's."""

    class Meta:
        model = TelemetryProfile
        fields = ["group", "metrics_interval", "log_level", "region", "site", "instance"]
        help_texts = {
            "metrics_interval": "Seconds between two measurements. Of metrics.",
            "log_level": "And whatever is graver. Of logs.",
            "region": "Of all that lies in it; or choose a site, or one instance.",
        }

    def clean(self):
        cleaned = super().clean()
        if self.instance.pk is None and (group := cleaned.get("group")):
            self.instance.kind = group.kind
        return cleaned
