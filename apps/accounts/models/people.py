"""Store people, their membership of organisations, and invitations."""

from typing import Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from apps.accounts.models.organisations import Organisation
from apps.accounts.scopes import Role
from apps.base.fields import JSON
from apps.base.ids import new_id


class UserManager(BaseUserManager["User"]):
    """Create people by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a person, who cannot sign in by password while `password` is None."""
        user = self.model(email=email.lower(), **fields)
        user.set_password(password)
        user.save(force_insert=True)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractUser):
    """Store a person who signs in with a browser, by e-mail address.

    The columns `username`, `first_name` and `last_name` of version 0.2 remain in the table,
    nullable, until the next version.
    """

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # In lower case. An invitation has verified it: its link was sent to this address only.
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True, db_default="", default="")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
    objects = UserManager()  # type: ignore[misc,assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(email=Lower(F("email"))), name="user_email_is_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()


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
            # The target of composite foreign keys.
            models.UniqueConstraint(fields=["organisation", "id"], name="member_in_organisation"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"


class Invitation(models.Model):
    """Store an invitation to join an organisation, which is sent by e-mail.

    It is open until it is accepted or revoked, or expires. Only the hash of its link's token is
    stored: sending it again makes a new token, and the previous link ends.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="invitations"
    )
    # In lower case.
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role)
    # The principal that invited, such as `member:<id>`.
    invited_by = models.CharField(max_length=300)
    token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # What apps.pools makes a worker of, once the person joins; null: the person is no worker. Then
    # it names the pools that were closed meanwhile, too.
    worker = JSON(null=True)
    # When the latest mail was handed to the mail server, or why it was not.
    sent_at = models.DateTimeField(null=True, blank=True)
    mail_error = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "email"],
                condition=Q(accepted_at__isnull=True, revoked_at__isnull=True),
                name="one_open_invitation_each",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True) | Q(revoked_at__isnull=True),
                name="invitation_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(email=Lower(F("email"))), name="invitation_email_is_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.id} as {self.role}"
