"""Send mails after the transaction, on a thread: they neither delay a request nor fail it."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.core.mail import EmailMessage
from django.db import connection, transaction

logger = logging.getLogger(__name__)

# One mail at a time; the server answers within EMAIL_TIMEOUT, or the mail fails.
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


def send_after_commit(message: EmailMessage, then: Callable[[str], None] | None = None) -> None:
    """Send a mail once the present transaction has committed.

    On the same thread `then` is called with what went wrong, or with an empty text. A process that
    dies before it has sent the mail does not send it: it can be requested again.
    """

    def start() -> None:
        _sender.submit(_send, message, then)

    transaction.on_commit(start)


def _send(message: EmailMessage, then: Callable[[str], None] | None) -> None:
    problem = ""
    try:
        message.send()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"[:200]
        # Without the recipient: logs have no personal data.
        logger.warning("a mail was not sent: %s", problem)
    try:
        if then is not None:
            then(problem)
    except Exception:
        logger.exception("the result of a mail was not stored")
    finally:
        connection.close()


def wait_for_mails() -> None:
    """Return once all mails that were due before are sent."""
    waiting: Future[None] = _sender.submit(lambda: None)
    waiting.result()
