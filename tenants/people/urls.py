"""The paths under /v1/ that are about people."""

from django.urls import path

from tenants.people import grants, groups, users

urlpatterns = [
    path("me", users.MeView.as_view()),
    path("users", users.Users.as_view()),
    path("users/<str:name>", users.OneUser.as_view()),
    path("users/<str:name>/password", users.Password.as_view()),
    path("users/<str:name>/grants", grants.GrantsOfUser.as_view()),
    path("users/<str:name>/grants/<int:pk>", grants.OneGrantOfUser.as_view()),
    path("groups", groups.Groups.as_view()),
    path("groups/<str:name>", groups.OneGroup.as_view()),
    path("groups/<str:name>/members", groups.Members.as_view()),
    path("groups/<str:name>/members/<str:member>", groups.OneMember.as_view()),
    path("groups/<str:name>/grants", grants.GrantsOfGroup.as_view()),
    path("groups/<str:name>/grants/<int:pk>", grants.OneGrantOfGroup.as_view()),
]
