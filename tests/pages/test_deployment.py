"""Test what production sends and requires: `check --deploy`, cookies, HSTS, https, CORS."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[2]

# Prints the answers to requests as production gives them, without a database.
REQUESTS = """
import json, sys
import django
django.setup()
from django.test import Client
answers = []
for method, path, headers in json.loads(sys.argv[1]):
    client = Client(enforce_csrf_checks=True, headers=headers)
    answer = client.generic(method, path)
    cookies = {name: cookie.OutputString() for name, cookie in answer.cookies.items()}
    answers.append([answer.status_code, dict(answer.headers), cookies])
print(json.dumps(answers))
"""


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "postgresql://biolayer@127.0.0.1:9/biolayer",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "SECRET_KEY": "9Jx2mQ7vTz4wLp8Ks1Rd6Yb3Nc5Hf0Ge-AuXoIiVtMkZq_UjWyBr",
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_HOSTS": "biolayer.example",
        "BIOLAYER_TRUSTED_PROXIES": "1",
        "BIOLAYER_CORS_ORIGINS": "https://product.example",
        **changes,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_deploy__is_clean() -> None:
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


def answers(*requests: tuple[str, str, dict[str, str]]) -> list[Any]:
    done = run("-c", REQUESTS, json.dumps(requests))
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


HOST = {"Host": "biolayer.example"}
SECURE = {**HOST, "X-Forwarded-Proto": "https"}


def test_pages__are_served_by_https_only() -> None:
    plain, secure, live = answers(
        ("GET", "/accounts/login/", HOST),
        ("GET", "/accounts/login/", SECURE),
        ("GET", "/livez", HOST),
    )
    assert plain[0] == 301
    assert plain[1]["Location"] == "https://biolayer.example/accounts/login/"
    assert secure[0] == 200
    assert secure[1]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    (cookie,) = secure[2].values()
    assert cookie.startswith("__Host-csrf=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    # Load balancers check the health by http.
    assert live[0] == 200


@pytest.mark.parametrize("path", ["invitations/{}/", "password/reset/key/1-{}/"])
def test_secret_of_a_link__is_not_logged_when_its_form_is_refused(path: str) -> None:
    refused = [("POST", f"/accounts/{path.format('canary-in-a-link')}", SECURE)]
    done = run("-c", REQUESTS, json.dumps(refused))
    assert json.loads(done.stdout)[0][0] == 403
    assert " 403 " in done.stderr or '"status":403' in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("origin", ["https://product.example", "https://evil.example", "null"])
def test_cors__is_for_listed_origins_of_v1(origin: str) -> None:
    sent = {**SECURE, "Origin": origin}
    asked = {**sent, "Access-Control-Request-Method": "POST"}
    preflight, call, page = answers(
        ("OPTIONS", "/v1/tasks", asked),
        ("GET", "/v1/tasks", sent),
        ("GET", "/accounts/login/", sent),
    )
    is_listed = origin == "https://product.example"
    assert preflight[0] == 204
    assert ("Access-Control-Allow-Methods" in preflight[1]) is is_listed
    for answer in (preflight, call):
        assert answer[1].get("Access-Control-Allow-Origin") == (origin if is_listed else None)
        assert "Origin" in answer[1]["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer[1]
    assert call[0] == 401
    assert "Access-Control-Allow-Origin" not in page[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMAIL_URL", "gopher://mail.example"),
        ("EMAIL_URL", "smtp://"),
        ("BIOLAYER_CORS_ORIGINS", "https://product.example/path"),
        ("BIOLAYER_BASE_URL", "biolayer.example"),
    ],
)
def test_bad_setting__stops_the_start(name: str, value: str) -> None:
    done = run("manage.py", "check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
