"""Store the sessions of browsers, and the counters that limit attempts to sign in."""

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models.people import User
from apps.base.fields import JSON
from apps.base.ids import new_id


class BrowserSession(AbstractBaseSession):
    """Store one browser's session: the row that a person lists and revokes is the session itself.

    `session_key` is a keyed hash of the cookie, and `session_data` is encrypted, so that a copy of
    the table signs no one in. A session that is not signed in has no user.
    """

    id = models.UUIDField(unique=True, default=new_id, editable=False)
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="browser_sessions", null=True
    )
    # Where the browser was last seen from; empty while unknown.
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Written at most once a minute.
    last_seen_at = models.DateTimeField(db_default=Now())

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        verbose_name = "session"
        verbose_name_plural = "sessions"


class SignInCounter(models.Model):
    """Store an entry of the cache `apps.accounts.counters`: attempts of an address or account."""

    key = models.CharField(primary_key=True, max_length=300)
    value = JSON()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
