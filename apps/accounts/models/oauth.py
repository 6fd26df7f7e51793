"""Store the clients of OAuth 2.0, their authorisation codes, and the consents of members."""

import re

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from oauth2_provider.models import AbstractApplication, AbstractGrant

from apps.accounts.models.organisations import Organisation
from apps.accounts.models.people import Member
from apps.accounts.scopes import Role
from apps.base.ids import new_id

# RFC 8252, 7.3: a native client takes any free port of the machine that it runs on.
LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::\d{1,5})?(?=/|$)")


class GrantType(models.TextChoices):
    """Name the flows of a client as RFC 6749 does. Refresh tokens belong to the first."""

    AUTHORIZATION_CODE = "authorization_code"
    CLIENT_CREDENTIALS = "client_credentials"


class OAuthApplication(AbstractApplication):
    """Store an OAuth 2.0 client. It acts inside one organisation, with one role."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="oauth_applications"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    # Which scopes its tokens may have at most.
    scopes = ArrayField(models.CharField(max_length=50), default=list, db_default=[])
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
    # The flows that it may use. `authorization_grant_type` is the library's, for one flow only.
    grant_types = ArrayField(models.CharField(max_length=40), default=list, db_default=[])
    # The principal that created it, as `kind:id`; empty: not known, since an earlier version did.
    created_by = models.CharField(max_length=300, db_default="", editable=False)

    class Meta:
        constraints = [
            # Also the target of composite foreign keys.
            models.UniqueConstraint(
                fields=["organisation", "id"], name="oauthapplication_in_organisation"
            ),
            # RFC 6749, 4.4: a client without a secret cannot act for itself.
            models.CheckConstraint(
                condition=~Q(client_type="public")
                | ~Q(grant_types__contains=["client_credentials"]),
                name="oauthapplication_public_acts_for_people",
            ),
        ]

    @property
    def is_confidential(self) -> bool:
        return bool(self.client_type == self.CLIENT_CONFIDENTIAL)

    def allows_grant_type(self, *grant_types: str) -> bool:
        """Return whether the client may use one of the flows, by the library's names of them."""
        allowed = {name.replace("_", "-") for name in self.grant_types}
        return not allowed.isdisjoint(grant_types)

    def redirect_uri_allowed(self, uri: str) -> bool:
        """Return whether `uri` is a registered one, character by character (RFC 9700, 4.1.3).

        Only the port of a loopback address may differ (RFC 8252, 7.3).
        """
        registered = self.redirect_uris.split()
        without_port = [LOOPBACK.sub(r"\1", known) for known in registered if LOOPBACK.match(known)]
        return uri in registered or LOOPBACK.sub(r"\1", uri) in without_port

    def get_allowed_schemes(self) -> list[str]:
        """Return the schemes that a response may be redirected to; http is for loopback only."""
        return ["https"] if self.is_confidential else ["https", "http"]


class OAuthCode(AbstractGrant):
    """Store an authorisation code. It names the tokens that it was exchanged for, to end them.

    `code` holds the SHA-256 of the code in hexadecimal. A used code is kept as long as its tokens
    can be renewed: a second use ends them (RFC 6749, 4.1.2).
    """

    application = models.ForeignKey(OAuthApplication, on_delete=models.CASCADE, related_name="+")
    used_at = models.DateTimeField(null=True)
    # The `token_family` of the refresh tokens that came of the code.
    token_family = models.UUIDField(null=True, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(used_at__isnull=True, token_family__isnull=True)
                | Q(used_at__isnull=False, token_family__isnull=False),
                name="oauthcode_used_has_family",
            ),
        ]


class OAuthConsent(models.Model):
    """Store that a member lets a client act for them. Without it no token of theirs is valid.

    It is deleted when it is revoked, and with its client or its member.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The migration adds composite foreign keys: they keep client and member inside the
    # organisation, and delete the consent with either.
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    application = models.ForeignKey(
        OAuthApplication,
        on_delete=models.CASCADE,
        related_name="consents",
        db_constraint=False,
        db_index=False,
    )
    member = models.ForeignKey(
        Member, on_delete=models.CASCADE, related_name="consents", db_constraint=False
    )
    scopes = ArrayField(models.CharField(max_length=50))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When scopes were last added.
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["application", "member"], name="one_consent_each"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} for {self.application_id}"
