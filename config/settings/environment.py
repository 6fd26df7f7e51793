"""Parse the environment variables strictly: a bad value stops the start with the variable's name.

An unknown variable that begins with `BIOLAYER_` is refused as well: it is most likely a typing
error, which would otherwise be ignored.
"""

import os
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from config.settings.database import ProcessKind
from config.settings.email import parse_email_url


def _key(value: str) -> str:
    Fernet(value)
    return value


def _split(value: Any) -> Any:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _nameserver(value: str) -> str:
    """Return an address with its port (default 53), in the notation of c-ares."""
    parts = urlsplit(f"//[{value}]" if value.count(":") > 1 and "[" not in value else f"//{value}")
    address, port = ip_address(parts.hostname or ""), parts.port or 53
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _email_url(value: str) -> str:
    parse_email_url(value)
    return value


def _origin(value: str) -> str:
    """Return an origin as browsers send it: scheme, host and a port that is not the default."""
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be scheme://host[:port], without a path")
    return value


List = BeforeValidator(_split)


# Variables of `python3 -m biolayer`, which may run in the same shell.
CLIENT_VARIABLES = ("BIOLAYER_URL", "BIOLAYER_API_KEY", "BIOLAYER_WEBHOOK_SECRET")


class Environment(BaseModel):
    """Declare every variable that the service reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    DATABASE_URL: Annotated[str, Field(pattern=r"^postgres(ql)?://")] | None = None
    REDIS_URL: Annotated[str, Field(pattern=r"^(redis|rediss)://")] | None = None
    SECRET_KEY: Annotated[str, Field(min_length=32)] | None = None
    ENCRYPTION_KEYS: Annotated[list[Annotated[str, AfterValidator(_key)]], List] = []
    ALLOWED_HOSTS: Annotated[list[str], List] = []
    EMAIL_URL: Annotated[str, AfterValidator(_email_url)] = "console://"
    EMAIL_FROM: str = "BioLayer <noreply@localhost>"
    PORT: Annotated[int, Field(ge=1, le=65_535)] = 8000
    STREAM_PORT: Annotated[int, Field(ge=1, le=65_535)] | None = None
    WEB_PROCESSES: Annotated[int, Field(ge=1, le=64)] = 1
    LOG_LEVEL: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    BIOLAYER_AGENTS_MAY_FORCE: bool = True
    BIOLAYER_BASE_URL: Annotated[str, AfterValidator(_origin)] | None = None
    BIOLAYER_CORS_ORIGINS: Annotated[list[Annotated[str, AfterValidator(_origin)]], List] = []
    BIOLAYER_HOME: Path = Path(".biolayer")
    BIOLAYER_RATE_LIMIT: Annotated[int, Field(ge=1)] = 60_000
    BIOLAYER_RATE_BURST: Annotated[int, Field(ge=1)] | None = None
    BIOLAYER_ORGANISATION_RATE_LIMIT: Annotated[int, Field(ge=1)] | None = None
    BIOLAYER_ORGANISATION_RATE_BURST: Annotated[int, Field(ge=1)] | None = None
    BIOLAYER_FAILURE_LIMIT: Annotated[int, Field(ge=1)] = 300
    BIOLAYER_MAX_BODY_BYTES: Annotated[int, Field(ge=1024)] = 256 * 1024
    BIOLAYER_NAMESERVERS: Annotated[list[Annotated[str, AfterValidator(_nameserver)]], List] = []
    BIOLAYER_PGBOUNCER: bool = False
    BIOLAYER_PROFILE_MODELS: bool = True
    BIOLAYER_PROFILE_NO_SANDBOX: bool = True
    BIOLAYER_PROCESS: ProcessKind = "command"
    BIOLAYER_S3_BUCKET: (
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None
    ) = None
    BIOLAYER_S3_PREFIX: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = ""
    BIOLAYER_S3_ENDPOINT: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] | None = None
    BIOLAYER_S3_REGION: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    BIOLAYER_S3_ENCRYPTION: Annotated[str, Field(pattern=r"^(AES256|aws:kms)$")] | None = None
    BIOLAYER_S3_KMS_KEY: Annotated[str, Field(min_length=1)] | None = None
    BIOLAYER_TRUSTED_PROXIES: Annotated[int, Field(ge=0, le=10)] = 0


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the environment, or exit with a line for each bad variable."""
    problems = [
        f"{name}: not a setting of BioLayer"
        for name in environ
        if name.startswith("BIOLAYER_")
        and name not in {*Environment.model_fields, *CLIENT_VARIABLES}
    ]
    values = {name: environ[name] for name in Environment.model_fields if environ.get(name)}
    parsed: Environment | None = None
    try:
        parsed = Environment.model_validate(values)
    except ValidationError as error:
        problems += [f"{line['loc'][0]}: {line['msg']}" for line in error.errors()]
    if problems or parsed is None:
        sys.exit("\n".join(f"bad environment variable {problem}" for problem in problems))
    return parsed
