"""Keep browsers' sessions in PostgreSQL (`SESSION_ENGINE`): hashed keys, encrypted data.

A session that is deleted ends at once: its next request is anonymous.
"""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import BrowserSession, User
from apps.base import crypto

# Hexadecimal digits of a stored key: 160 bits.
KEY_LENGTH = 40
# Sessions belong to a person, not to one of their organisations.
PLACE = crypto.Place(UUID(int=0), "accounts_browsersession", "session_data")
SEEN_EVERY = timedelta(minutes=1)
MAX_USER_AGENT = 300


def stored_key(session_key: str) -> str:
    """Return how the table names a session: from it, the cookie cannot be found."""
    return crypto.keyed_hash("session", session_key.encode()).hex()[:KEY_LENGTH]


class SessionStore(SessionBase):
    """Store one session. `client` is set by the middleware: address and browser."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.client = ("", "")
        # Who is signed in, as the session's own row says; None before it is loaded.
        self.person: User | None = None
        # The id of the session's row; None before it is loaded.
        self.row_id: UUID | None = None

    def load(self) -> dict[str, Any]:
        row = None
        if self.session_key is not None:
            rows = BrowserSession.objects.select_related("user")
            row = rows.filter(
                session_key=stored_key(self.session_key), expire_date__gt=timezone.now()
            ).first()
        if row is None:
            self._session_key = None
            return {}
        self._note_seen(row)
        self.person, self.row_id = row.user, row.id
        return self.decode(row.session_data)

    def _note_seen(self, row: BrowserSession) -> None:
        """Store that the browser was seen, at most once in `SEEN_EVERY`."""
        now = timezone.now()
        address, user_agent = self.client
        if address and now - row.last_seen_at > SEEN_EVERY:
            BrowserSession.objects.filter(session_key=row.session_key).update(
                last_seen_at=now, address=address, user_agent=user_agent
            )

    def exists(self, session_key: str) -> bool:
        return BrowserSession.objects.filter(session_key=stored_key(session_key)).exists()

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's signature
        """Store the session. Raise `UpdateError` where it was revoked during the request."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        columns = {
            "session_data": self.encode(data),
            "expire_date": self.get_expiry_date(),
            "user_id": data.get(USER_KEY),
        }
        if must_create:
            self._insert(columns)
        elif not self._rows().update(**columns):
            raise UpdateError

    def _insert(self, columns: dict[str, Any]) -> None:
        address, user_agent = self.client
        key = stored_key(str(self.session_key))
        row = BrowserSession(session_key=key, address=address, user_agent=user_agent, **columns)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise CreateError from None

    def _rows(self) -> Any:
        return BrowserSession.objects.filter(session_key=stored_key(str(self.session_key)))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            BrowserSession.objects.filter(session_key=stored_key(key)).delete()

    def encode(self, session_dict: dict[str, Any]) -> str:
        return crypto.seal(json.dumps(session_dict), PLACE).decode()

    def decode(self, session_data: str | bytes) -> dict[str, Any]:
        """Return the data; nothing where no key opens it, which ends the session."""
        text = session_data if isinstance(session_data, bytes) else session_data.encode()
        try:
            data: dict[str, Any] = json.loads(crypto.unseal(text, PLACE))
        except (InvalidToken, crypto.SealBroken):
            return {}
        return data

    @classmethod
    def clear_expired(cls) -> None:
        BrowserSession.objects.filter(expire_date__lt=timezone.now()).delete()
