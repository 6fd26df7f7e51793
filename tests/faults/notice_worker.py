"""Send notices repeatedly, for tests that kill it.

It runs with the settings of the test run, in the database that its command line names, and mails to
the port that follows. What a killed process had claimed is due again after a second.
"""

import sys
import time

import django


def main() -> None:
    django.setup()

    from django.conf import settings
    from django.db import connection

    from apps.notices.services import send_due, sending

    connection.settings_dict["NAME"] = sys.argv[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", int(sys.argv[2])
    sending.CLAIM_SECONDS = 1
    while True:
        if not send_due():
            time.sleep(0.02)


if __name__ == "__main__":
    main()
