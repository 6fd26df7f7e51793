"""List the sections of the console, which its pages show as tabs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope


@dataclass(frozen=True, slots=True)
class Section:
    """Name a section: its first page, the scope that it needs, and the paths that belong to it.

    It is shown to these roles.
    """

    title: str | Promise
    page: str
    scope: Scope
    paths: tuple[str, ...]
    namespace: str = "admin:"
    roles: Collection[str] = tuple(Role)


MANAGERS = (Role.MANAGER, Role.ADMIN)
OTHERS = (Role.VIEWER, Role.EDITOR)
DECISIONS = "/admin/reviews/"
ACCESS = ("member", "invitation", "apikey", "oauthapplication", "organisation")
SECTIONS = (
    Section(_("Board"), "board", Scope.TASKS_READ, ()),
    Section(_("Tasks"), "tasks_task_changelist", Scope.TASKS_READ, ("/admin/tasks/",)),
    Section(_("Reviews"), "portal_reviews", Scope.TASKS_REVIEW, (), namespace=""),
    # The same pages: who is no manager sees the second looks alone.
    Section(
        _("Appeals"),
        "reviews_appeal_changelist",
        Scope.TASKS_REVIEW,
        (DECISIONS,),
        roles=MANAGERS,
    ),
    Section(
        _("Second looks"),
        "reviews_secondlook_changelist",
        Scope.TASKS_REVIEW,
        (DECISIONS,),
        roles=OTHERS,
    ),
    Section(_("Pools"), "pools_pool_changelist", Scope.POOLS_READ, ("/admin/pools/pool/",)),
    Section(_("Workers"), "pools_worker_changelist", Scope.POOLS_READ, ("/admin/pools/worker/",)),
    Section(
        _("Webhooks"),
        "webhooks_destination_changelist",
        Scope.WEBHOOKS_READ,
        ("/admin/webhooks/",),
    ),
    Section(
        _("Access"),
        "accounts_member_changelist",
        Scope.ORGANISATION_READ,
        tuple(f"/admin/accounts/{kind}/" for kind in ACCESS),
    ),
    Section(_("Audit"), "audit", Scope.AUDIT_READ, ("/admin/accounts/auditevent/",)),
)
DECISION_PAGES = (
    Section(
        _("Appeals"),
        "reviews_appeal_changelist",
        Scope.TASKS_REVIEW,
        (f"{DECISIONS}appeal/",),
        roles=MANAGERS,
    ),
    Section(_("Second looks"), "reviews_secondlook_changelist", Scope.TASKS_REVIEW, ()),
    Section(_("Reviewers"), "reviewers", Scope.TASKS_REVIEW, (), roles=MANAGERS),
)
"""The pages about decisions on verdicts."""


@dataclass(frozen=True, slots=True)
class Tab:
    """Hold a link of the navigation; `current` is a value of `aria-current`, or empty."""

    title: str | Promise
    address: str
    current: str


def tabs(actor: Principal, path: str, sections: Sequence[Section] = SECTIONS) -> Iterator[Tab]:
    """Yield the sections that the actor may see, with the one of `path` marked.

    The pages of the portal are for members only.
    """
    for section in sections:
        is_open = section.namespace == "admin:" or actor.member_id is not None
        if is_open and section.scope.value in actor.scopes and actor.role in section.roles:
            address = reverse(section.namespace + section.page)
            inside = path.startswith(section.paths) if section.paths else False
            current = "page" if path == address else "true" if inside else ""
            yield Tab(section.title, address, current)
