"""Define where files are stored: on the local disk, or in S3 where a bucket is named."""

import sys
from typing import Any

from config.settings.environment import Environment


def storages(environment: Environment) -> dict[str, Any]:
    """Return Django's `STORAGES`. Exit where the settings of S3 contradict each other.

    The credentials are those that boto3 finds: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or
    the role of the machine.
    """
    _check(environment)
    if environment.BIOLAYER_S3_BUCKET is None:
        return {"default": {"BACKEND": "apps.base.storage.local.LocalStorage"}}
    encryption = {
        "ServerSideEncryption": environment.BIOLAYER_S3_ENCRYPTION,
        "SSEKMSKeyId": environment.BIOLAYER_S3_KMS_KEY,
    }
    options = {
        "bucket_name": environment.BIOLAYER_S3_BUCKET,
        "location": environment.BIOLAYER_S3_PREFIX,
        "endpoint_url": environment.BIOLAYER_S3_ENDPOINT,
        "region_name": environment.BIOLAYER_S3_REGION,
        "object_parameters": {name: value for name, value in encryption.items() if value},
    }
    return {"default": {"BACKEND": "apps.base.storage.s3.BoundedS3Storage", "OPTIONS": options}}


def _check(environment: Environment) -> None:
    given = [name for name in environment.model_fields_set if name.startswith("BIOLAYER_S3_")]
    if given and environment.BIOLAYER_S3_BUCKET is None:
        sys.exit(f"bad environment variable {min(given)}: needs BIOLAYER_S3_BUCKET")
    if environment.BIOLAYER_S3_KMS_KEY and environment.BIOLAYER_S3_ENCRYPTION != "aws:kms":
        sys.exit(
            "bad environment variable BIOLAYER_S3_KMS_KEY: needs BIOLAYER_S3_ENCRYPTION=aws:kms"
        )
