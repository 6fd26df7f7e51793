"""Take a file from a form, and run the effect of its call at most once."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import Error
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.authentication import caller
from apps.api.http.idempotency import CallResult, idempotent, stored_response
from apps.tasks import services
from biolayer.errors import Fault


def one_file(request: Request) -> tuple[Any, list[Fault]]:
    """Return the file in the part `file`, or what is wrong with it."""
    files = request.FILES.getlist("file")
    if len(files) != 1:
        text = "send exactly one file in the part `file`"
        return None, [Fault("/file", "required", text)]
    return files[0], []


def idempotent_upload(
    request: Request,
    file: Any,
    fields: dict[str, Any],
    *,
    receive: Callable[[], services.ReceivedFile],
    use: Callable[[services.ReceivedFile], CallResult],
) -> Response:
    """Run `receive` and then `use`, at most once for each key: see `idempotent`.

    `receive` stores the file, without a transaction: it takes seconds. It does not run where the
    response is known already. `fields` are the other parts of the form.
    """
    document = {**fields, "name": file.name, "sha256": _digest(file)}
    replayed = stored_response(request, document)
    if replayed is not None:
        return replayed
    received = receive()
    try:
        return idempotent(request, document, lambda: use(received))
    except Exception:
        # Else it is deleted in a day.
        with suppress(Error):
            services.give_up_file(received, at=caller(request).at)
        raise


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()
