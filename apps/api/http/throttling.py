"""Limit the calls of a credential and of its organisation."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.api.http.authentication import caller
from apps.api.http.rate_limits import credential_buckets, take
from biolayer.errors import RateLimited


class KeyThrottle(BaseThrottle):
    """Take a token for each call, from the credential's bucket and from its organisation's."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Return True. Raise `RateLimited`."""
        actor = caller(request).principal
        buckets = credential_buckets(
            organisation_id=actor.organisation_id, caller=f"{actor.kind}:{actor.id}"
        )
        verdict = take(buckets)
        request._request.biolayer_rate = verdict.levels  # type: ignore[attr-defined]
        if not verdict.is_allowed:
            policies = [level.bucket.policy for level in verdict.exhausted]
            raise RateLimited(verdict.retry_after, policies)
        return True
