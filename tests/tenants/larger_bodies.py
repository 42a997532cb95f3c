"""The product's URLs, and routes that take larger bodies."""

from django.http import HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from eim_project.urls import urlpatterns as product
from tenants.request import takes_up_to


@csrf_exempt
@takes_up_to(200_000)
def upload(request) -> HttpResponse:
    return HttpResponse(len(request.body))


@takes_up_to(200_000)
@method_decorator(csrf_exempt, name="dispatch")
class Uploads(View):
    def post(self, request) -> HttpResponse:
        return HttpResponse(len(request.body))


urlpatterns = [
    *product,
    path("v1/upload", upload),
    path("v1/uploads", Uploads.as_view()),
]
