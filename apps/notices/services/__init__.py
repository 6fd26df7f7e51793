"""Tell workers, and change what they are told. Import the services from here."""

from apps.notices.services.preferences import (
    NoticeSettings,
    SendOutcome,
    add_device,
    erase_notices,
    follow_language,
    mark_seen,
    remove_device,
    save_settings,
    send_test,
    stop_mails,
)
from apps.notices.services.push_keys import public_push_key
from apps.notices.services.sending import send_due

__all__ = [
    "NoticeSettings",
    "SendOutcome",
    "add_device",
    "erase_notices",
    "follow_language",
    "mark_seen",
    "public_push_key",
    "remove_device",
    "save_settings",
    "send_due",
    "send_test",
    "stop_mails",
]
