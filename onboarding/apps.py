"""From a machine that calls to a host that is trusted: discovery, matching, credentials."""

from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    name = "onboarding"
