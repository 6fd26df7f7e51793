"""Define the errors of a request by itself, and of what it needs at the moment."""

from collections.abc import Mapping, Sequence
from typing import Any

from biolayer.errors.base import BioLayerError, Fault


class InvalidInput(BioLayerError):
    code = "invalid_input"
    title = "The request does not satisfy its contract"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in the request; see `errors`."
        )


class MalformedJSON(BioLayerError):
    code = "malformed_json"
    title = "The body is not valid JSON"


class InvalidHeader(BioLayerError):
    code = "invalid_header"
    title = "A required header is missing or invalid"


class NotFound(BioLayerError):
    code = "not_found"
    title = "Not found"

    def __init__(self, noun: str) -> None:
        super().__init__(f"No such {noun}.")


class VersionChanged(BioLayerError):
    code = "version_changed"
    title = "The object has changed since it was read"

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__("Nothing was changed. Read it again, and decide by what it is now.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"version": self.version}


class VersionMissing(BioLayerError):
    code = "version_missing"
    title = "The header If-Match is missing"

    def __init__(self) -> None:
        super().__init__("Send If-Match with the ETag of the object as you have read it.")


class IdempotencyKeyReused(BioLayerError):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"


class TooLarge(BioLayerError):
    code = "too_large"
    title = "Too large"


class ContentDeleted(BioLayerError):
    code = "content_deleted"
    title = "The content was deleted"


class RangeNotSatisfiable(BioLayerError):
    code = "range_not_satisfiable"
    title = "The range is not satisfiable"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The file has {size} bytes.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"size": self.size}


class UnsupportedMedia(BioLayerError):
    code = "unsupported_media_type"
    title = "Unsupported media type"


class UnsupportedEncoding(UnsupportedMedia):
    code = "unsupported_content_encoding"
    title = "Unsupported content encoding"


class RateLimited(BioLayerError):
    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, retry_after: int, policies: Sequence[str]) -> None:
        self.retry_after = retry_after
        self.policies = list(policies)
        super().__init__(f"Send the next request in {retry_after} s.")

    @property
    def facts(self) -> Mapping[str, Any]:
        # The member's name is that of draft-ietf-httpapi-ratelimit-headers-10, 5.1.
        return {"violated-policies": self.policies}


class Unavailable(BioLayerError):
    code = "unavailable"
    title = "The service is temporarily unavailable"


class SignatureInvalid(BioLayerError):
    code = "signature_invalid"
    title = "The webhook's signature is not valid"
