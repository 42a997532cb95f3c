"""Groups and their members."""

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from rest_framework.response import Response

from tenants import errors
from tenants.models import User
from tenants.people.base import PeopleView
from tenants.people.shapes import GroupBody, Member, Nothing, said


class GroupsView(PeopleView):
    """Groups are the administrators' affair: what one has may reach over all organizations."""

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        self.administrators_only()


class Groups(GroupsView):
    serializer_class = GroupBody

    @said("ListGroups", "All groups", GroupBody, page_of="groups")
    def get(self, request):
        return self.page("groups", Group.objects.order_by("name"))

    @said("CreateGroup", "Make a group", GroupBody)
    def post(self, request):
        group = Group(**self.body())
        try:
            with transaction.atomic():
                group.save()
        except IntegrityError as taken:
            raise errors.Duplicate(f"There is a group {group.name!r} already") from taken
        return Response(GroupBody(group).data)


class OneGroup(GroupsView):
    serializer_class = GroupBody

    @said("GetGroup", "A group", GroupBody)
    def get(self, request, name):
        return Response(GroupBody(self.find(Group.objects.all(), name)).data)

    @said("DeleteGroup", "Delete a group, with what its members have by it", Nothing)
    def delete(self, request, name):
        self.find(Group.objects.all(), name).delete()
        return Response({})


class Members(GroupsView):
    serializer_class = Member

    @said("ListMembers", "A group's members", Member, page_of="members")
    def get(self, request, name):
        return self.page("members", self.find(Group.objects.all(), name).user_set.order_by("username"))


class OneMember(GroupsView):
    serializer_class = Member

    @said("AddMember", "Let a person have what the group has", Member)
    @transaction.atomic
    def put(self, request, name, member):
        group, user = self._both(name, member)
        user.groups.add(group)
        return Response(Member(user).data)

    @said("RemoveMember", "Take a person out of a group", Nothing)
    @transaction.atomic
    def delete(self, request, name, member):
        group, user = self._both(name, member)
        user.groups.remove(group)
        return Response({})

    def _both(self, name: str, member: str) -> tuple[Group, User]:
        return self.find(Group.objects.all(), name, lock=True), self.find(User.objects.all(), member, lock=True)
