"""Store the clients of OAuth 2.0."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from oauth2_provider.models import AbstractApplication

from apps.accounts.models.organisations import Organisation
from apps.accounts.scopes import Role


class OAuthApplication(AbstractApplication):
    """Store an OAuth 2.0 client. It acts inside one organisation, with one role."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="oauth_applications"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
