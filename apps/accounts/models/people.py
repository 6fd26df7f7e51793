"""Store people and their membership of organisations."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models.organisations import Organisation
from apps.accounts.scopes import Role
from apps.base.ids import new_id


class User(AbstractUser):
    """Store a person who signs in with a browser."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)


class Member(models.Model):
    """Store a person's role in an organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_each"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"
