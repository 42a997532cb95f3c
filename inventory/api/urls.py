"""The paths of the REST API, under /v1/projects/<project>/; some have two names, as the old clients do."""

from rest_framework.routers import SimpleRouter

from inventory.api import compute, location, os, provider

router = SimpleRouter(trailing_slash=False)
for path, viewset in [
    ("regions", location.RegionViewSet),
    ("sites", location.SiteViewSet),
    ("regions/[^/]+/sites", location.SiteViewSet),  # the region in the path was never looked at: clients put anything
    ("providers", provider.ProviderViewSet),
    ("compute/os", os.OperatingSystemViewSet),
    ("compute/operating_systems", os.OperatingSystemViewSet),
    ("compute/hosts", compute.HostViewSet),
    ("compute/instances", compute.InstanceViewSet),
]:
    router.register(path, viewset, basename=path.replace("/", "-").replace("[^-]+", "any"))

urlpatterns = router.urls
