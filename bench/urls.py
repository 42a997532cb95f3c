"""The product's URLs, and those of the floors behind the same middleware."""

from django.urls import include, path

from bench.declare import benches
from eim_project.urls import urlpatterns as product

floors = [url for bench in benches().values() for url in bench.urls]
urlpatterns = [*product, path("v1/projects/<slug:project>/", include(floors))]
