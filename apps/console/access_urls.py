"""Route the pages of access: members, invitations, settings, credentials and the audit log.

Their lists are in apps/accounts/admin.py.
"""

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import path

from apps.console.views import api_keys, audit, members, oauth_applications, organisation

ACCESS_PAGES: list[tuple[str, Callable[..., HttpResponse], str]] = [
    ("member/invite/", members.invite, "member_invite"),
    ("member/<uuid:member_id>/", members.member, "member"),
    ("member/<uuid:member_id>/role/", members.change_role, "member_role"),
    ("member/<uuid:member_id>/remove/", members.remove, "member_remove"),
    ("member/<uuid:member_id>/unlink/", members.unlink_worker, "member_unlink"),
    (
        "member/<uuid:member_id>/sessions/<uuid:session_id>/end/",
        members.end_session,
        "member_end_session",
    ),
    ("invitation/<uuid:invitation_id>/", members.invitation, "invitation"),
    (
        "invitation/<uuid:invitation_id>/resend/",
        members.resend_invitation,
        "invitation_resend",
    ),
    (
        "invitation/<uuid:invitation_id>/revoke/",
        members.revoke_invitation,
        "invitation_revoke",
    ),
    ("organisation/", organisation.settings, "organisation"),
    ("apikey/create/", api_keys.create, "api_key_create"),
    ("apikey/<str:key_id>/", api_keys.api_key, "api_key"),
    ("apikey/<str:key_id>/rotate/", api_keys.rotate, "api_key_rotate"),
    ("apikey/<str:key_id>/revoke/", api_keys.revoke, "api_key_revoke"),
    ("oauthapplication/create/", oauth_applications.create, "oauth_create"),
    ("oauthapplication/<str:client_id>/", oauth_applications.application, "oauth_application"),
    ("oauthapplication/<str:client_id>/rotate/", oauth_applications.rotate, "oauth_rotate"),
    ("oauthapplication/<str:client_id>/delete/", oauth_applications.delete, "oauth_delete"),
    ("auditevent/", audit.audit, "audit"),
    ("auditevent/chain/", audit.chain, "audit_chain"),
]
ACCESS = [
    *(path(f"accounts/{route}", view, name=name) for route, view, name in ACCESS_PAGES),
    *(
        path(f"accounts/auditevent/export.{one}", audit.export, {"kind": one}, name="audit_export")
        for one in audit.EXPORTS
    ),
]
