"""Store files in S3, or in a service with its API. Loaded only where the settings name a bucket."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

CONNECT_SECONDS = 2
READ_SECONDS = 10
ATTEMPTS = 2

# How long it is not called after it did not respond: each call would hold a thread until then.
PAUSE_SECONDS = 5.0

# Above the largest file: each is one request.
ONE_REQUEST_BYTES = 64 * 1024 * 1024


class BoundedS3Storage(S3Storage):  # type: ignore[misc]
    """Bound the waits, and raise `OSError` for every failure, as a local disk does."""

    def __init__(self, **options: Any) -> None:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": options.pop("addressing_style", "auto")},
        )
        transfer = TransferConfig(use_threads=False, multipart_threshold=ONE_REQUEST_BYTES)
        defaults = {
            "client_config": config,
            "transfer_config": transfer,
            "default_acl": None,
            # A file that is read is in memory up to this size, and else on disk.
            "max_memory_size": 1024 * 1024,
        }
        super().__init__(**{**defaults, **options})

    def _save(self, name: str, content: Any) -> str:
        with _as_os_error():
            return str(super()._save(name, content))

    def _open(self, name: str, mode: str = "rb") -> Any:
        with _as_os_error():
            opened = super()._open(name, mode)
            opened.file  # noqa: B018 - the property reads the object, which may fail
            return opened

    def delete(self, name: str) -> None:
        with _as_os_error():
            super().delete(name)


class _Pause:
    """Remember in this process that the service did not respond."""

    def __init__(self) -> None:
        self.until = 0.0

    def begin(self) -> None:
        self.until = time.monotonic() + PAUSE_SECONDS

    def check(self) -> None:
        if time.monotonic() < self.until:
            raise OSError("S3: it did not respond a moment ago")


_pause = _Pause()


@contextmanager
def _as_os_error() -> Iterator[None]:
    _pause.check()
    try:
        yield
    except ClientError as error:  # an answer
        raise OSError(f"S3: {error}") from error
    except (Boto3Error, BotoCoreError) as error:
        _pause.begin()
        raise OSError(f"S3: {error}") from error
