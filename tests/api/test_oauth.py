"""Delegated access: OAuth 2.0 client credentials, inside one organisation, with scopes."""

import base64
from typing import Any

import pytest
from django.test import Client
from oauth2_provider.models import AccessToken

from apps.accounts.models import OAuthApplication
from tests.factories import Caller, House, contract

SECRET = "an-application-secret-of-some-length"


@pytest.fixture
def application(house: House) -> OAuthApplication:
    return OAuthApplication.objects.create(
        organisation=house.organisation,
        name="Partner dashboard",
        client_type=OAuthApplication.CLIENT_CONFIDENTIAL,
        authorization_grant_type=OAuthApplication.GRANT_CLIENT_CREDENTIALS,
        client_secret=SECRET,
    )


def token_for(application: OAuthApplication, scope: str, secret: str = SECRET) -> Any:
    pair = base64.b64encode(f"{application.client_id}:{secret}".encode()).decode()
    return Client().post(
        "/oauth/token",
        {"grant_type": "client_credentials", "scope": scope},
        headers={"Authorization": f"Basic {pair}"},
        secure=True,
    )


def test_token__acts_inside_its_organisation_with_its_scopes(
    house: House, application: OAuthApplication
) -> None:
    task = house.task()
    granted = token_for(application, "tasks:read").json()
    partner = Caller(granted["access_token"])
    assert partner.get(f"/v1/tasks/{task.id}").status_code == 200
    refused = partner.post("/v1/tasks", contract())
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_token__is_stored_hashed(application: OAuthApplication) -> None:
    token = token_for(application, "tasks:read").json()["access_token"]
    assert token not in str(AccessToken.objects.values())


def test_token__refused_for_a_wrong_secret(application: OAuthApplication) -> None:
    assert token_for(application, "tasks:read", secret="wrong").status_code == 401
    assert AccessToken.objects.count() == 0


def test_token__of_another_organisation_sees_nothing(
    house: House, application: OAuthApplication
) -> None:
    application.organisation = house.strangers_pool.organisation
    application.save()
    task = house.task()
    stranger = Caller(token_for(application, "tasks:read").json()["access_token"])
    assert stranger.get(f"/v1/tasks/{task.id}").status_code == 404
