"""Who has which role where: own grants and those of groups, at a cost that is bounded."""

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants import groups, roles
from tenants.models import Grant, Organization, Project, Role, TenantState, User
from tenants.models.people import IN_ORGANIZATION

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(public):
    return User.objects.create_user("ada")


@pytest.fixture
def crew(ada):
    group = Group.objects.create(name="crew")
    ada.groups.add(group)
    return group


def another_project(name: str, organization: Organization) -> Project:
    project = Project(name=name, organization=organization)
    project.ask(state=TenantState.CREATED)
    return project


def test_a_role_of_a_persons_own_and_one_of_their_group_add_up(ada, crew, acme, beta):
    roles.grant(Role.READ, ada, acme)
    roles.grant(Role.ONBOARD, crew, acme)
    roles.grant(Role.WRITE, crew, beta)
    assert roles.roles_in_project(ada, acme) == {"im-r", "en-ob"}
    assert roles.roles_in_project(ada, beta) == {"im-rw"}
    assert roles.roles_of(ada) == {
        f"{acme.uuid}_im-r", f"{acme.uuid}_en-ob", f"{beta.uuid}_im-rw",
        f"{acme.organization.uuid}_{acme.uuid}_m", f"{beta.organization.uuid}_{beta.uuid}_m",
    }  # fmt: skip


def test_a_role_for_an_organization_is_one_in_all_its_projects_also_those_made_later(ada, acme):
    roles.grant(Role.READ, ada, organization=acme.organization)
    later = another_project("later", acme.organization)
    foreign = Organization(name="foreign")
    foreign.ask(state=TenantState.CREATED)
    elsewhere = another_project("elsewhere", foreign)
    assert roles.roles_in_project(ada, acme) == roles.roles_in_project(ada, later) == {"im-r"}
    assert roles.roles_in_project(ada, elsewhere) == set()
    assert {f"{later.uuid}_im-r", f"{acme.organization.uuid}_{later.uuid}_m"} <= roles.roles_of(ada)
    assert not any(str(elsewhere.uuid) in role for role in roles.roles_of(ada))


def test_a_role_about_an_organizations_projects_is_none_in_them(ada, acme):
    roles.grant(Role.WRITE_PROJECTS, ada, organization=acme.organization)
    assert roles.roles_in_project(ada, acme) == set()
    assert roles.roles_in_organization(ada, acme.organization) == {"project-write-role"}
    assert roles.roles_of(ada) == {f"{acme.organization.uuid}_project-write-role"}


def test_a_role_that_holds_everywhere_has_no_uuid(ada):
    roles.grant(Role.READ_ORGANIZATIONS, ada)
    assert roles.roles_of(ada) == {"org-read-role"}


def test_a_superuser_may_do_everything_but_pose_as_a_machine(acme):
    root = User.objects.create_superuser("root")
    held = roles.roles_of(root)
    assert {f"{acme.uuid}_im-rw", f"{acme.organization.uuid}_{acme.uuid}_m", "org-delete-role"} <= held
    assert not any(role.endswith(("en-agent-rw", "en-ob")) for role in held)
    assert roles.roles_in_project(root, acme) == {"im-rw"}
    assert roles.roles_in_organization(root, acme.organization) == {*IN_ORGANIZATION}


def test_whoever_is_deactivated_has_no_role_left(ada, crew, acme):
    roles.grant(Role.WRITE, ada, acme)
    roles.grant(Role.WRITE_PROJECTS, crew, organization=acme.organization)
    ada.is_active = False
    ada.save()
    assert roles.roles_of(ada) == roles.roles_in_project(ada, acme) == set()
    assert roles.roles_in_organization(ada, acme.organization) == set()
    assert not roles.projects_of(ada).exists() and not roles.managed_by(ada).exists()


def test_a_role_taken_is_gone_for_the_next_question(ada, acme):
    roles.grant(Role.READ, ada, acme)
    assert roles.revoke(Role.READ, ada, acme) is True
    assert roles.roles_in_project(ada, acme) == set()
    assert roles.revoke(Role.READ, ada, acme) is False


def test_granting_again_changes_nothing(ada, acme):
    assert roles.grant(Role.READ, ada, acme) == roles.grant(Role.READ, ada, acme)
    assert Grant.objects.filter(user=ada).count() == 1


@pytest.mark.parametrize(
    ("role", "where"),
    [
        (Role.READ, {}),
        (Role.READ, {"project", "organization"}),
        (Role.WRITE_PROJECTS, {"project"}),
        (Role.WRITE_PROJECTS, {}),
        (Role.READ_ORGANIZATIONS, {"organization"}),
        ("im-x", {"project"}),
    ],
)
def test_a_role_is_granted_only_where_it_belongs(ada, acme, role, where):
    places = {"project": acme, "organization": acme.organization}
    with pytest.raises(ValidationError, match=r"are granted in a project|is not a valid choice"):
        roles.grant(role, ada, **{name: places[name] for name in where})
    assert not Grant.objects.filter(user=ada).exists()


@pytest.fixture
def a_thousand_projects(acme):
    """1,000 projects in 10 organizations, each with the groups that a project begins with."""
    from django.db.models import QuerySet

    def make(model, rows):
        return QuerySet(model).bulk_create(rows)

    owners = make(Organization, [Organization(name=f"org{n}", resource_id=f"org-{n:08x}") for n in range(10)])
    projects = make(Project, [
        Project(
            name=f"many{n}", resource_id=f"project-{n:08x}", schema_name=f"t_many{n}", organization=owners[n % 10],
        ) for n in range(1000)
    ])  # fmt: skip
    made = Group.objects.bulk_create(
        Group(name=f"{project.uuid}_{kind}") for project in projects for kind in groups.OF_A_PROJECT
    )
    Grant.objects.bulk_create(
        Grant(group=group, role=Role.READ, project=projects[at // len(groups.OF_A_PROJECT)])
        for at, group in enumerate(made)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return projects


def queries_of(question) -> tuple[int, object]:
    with CaptureQueriesContext(connection) as counted:
        answer = question()
    return len(counted), answer


def test_one_question_among_a_thousand_projects_is_one_query_that_reads_few_rows(ada, crew, a_thousand_projects):
    one = a_thousand_projects[500]
    roles.grant(Role.WRITE, crew, one)
    assert queries_of(lambda: roles.roles_in_project(ada, one)) == (1, {"im-rw"})
    with CaptureQueriesContext(connection) as counted:
        roles.roles_in_project(ada, one)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ANALYZE {counted[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on tenants_grant" not in plan, plan


def test_all_roles_of_somebody_in_a_thousand_projects_are_two_queries(ada, a_thousand_projects):
    for organization in Organization.objects.filter(name__startswith="org"):
        roles.grant(Role.READ, ada, organization=organization)
    count, held = queries_of(lambda: roles.roles_of(ada))
    assert (count, len(held)) == (2, 2000)  # im-r and _m in each
    root = User.objects.create_superuser("root")
    count, held = queries_of(lambda: roles.roles_of(root))
    assert count == 2 and len(held) > 2000


def test_a_page_of_projects_with_the_roles_in_them_is_one_query_more(ada, crew, a_thousand_projects):
    for project in a_thousand_projects[:50]:
        roles.grant(Role.READ, crew, project)
    page = [*roles.projects_of(ada).order_by("name")]
    count, held = queries_of(lambda: roles.roles_by_project(ada, page))
    assert (count, len(page)) == (1, 50) and all(held[project.pk] == {"im-r"} for project in page)


def test_a_project_begins_with_the_groups_that_the_archived_system_made(ada, acme):
    groups.default_groups(acme)
    made = Group.objects.filter(name__startswith=str(acme.uuid))
    assert {group.name: {grant.role for grant in group.grants.all()} for group in made} == {
        f"{acme.uuid}_Edge-Manager-Group": {"im-r"},
        f"{acme.uuid}_Edge-Operator-Group": {"im-r"},
        f"{acme.uuid}_Edge-Onboarding-Group": {"en-ob"},
        f"{acme.uuid}_Host-Manager-Group": {"im-rw"},
        f"{acme.uuid}_Edge-Node-M2M-Service-Account": {"en-agent-rw"},
    }
    ada.groups.add(Group.objects.get(name=f"{acme.uuid}_Host-Manager-Group"))
    assert roles.roles_in_project(ada, acme) == {"im-rw"}


def test_an_organization_begins_with_its_project_managers(ada, acme):
    groups.default_groups(acme.organization)
    managers = Group.objects.get(name=f"{acme.organization.uuid}_Project-Manager-Group")
    ada.groups.add(managers)
    assert roles.roles_in_organization(ada, acme.organization) == {*IN_ORGANIZATION}
    assert [*roles.managed_by(ada)] == [acme.organization]


def test_making_the_groups_again_leaves_what_people_changed(acme):
    groups.default_groups(acme)
    operators = Group.objects.get(name=f"{acme.uuid}_Edge-Operator-Group")
    operators.grants.all().delete()
    groups.default_groups(acme)
    assert not operators.grants.exists()


def test_the_groups_go_with_their_project_and_others_stay(ada, acme, beta):
    groups.default_groups(acme)
    groups.default_groups(beta)
    ada.groups.add(Group.objects.get(name=f"{acme.uuid}_Host-Manager-Group"))
    groups.remove_groups(acme)
    groups.remove_groups(acme)
    assert not Group.objects.filter(name__startswith=str(acme.uuid)).exists()
    assert Group.objects.filter(name__startswith=str(beta.uuid)).count() == len(groups.OF_A_PROJECT)
    assert roles.roles_of(ada) == set()
