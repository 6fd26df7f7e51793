"""Create the service's tables and its demo organisation, and print as JSON how to call it."""

import json
import os

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    call_command("migrate", verbosity=0)

    from local.demo.seed import example_task, seed

    # No server listens at the callback's address: nothing is delivered here.
    access = seed(
        base_url="http://127.0.0.1:8000",
        inbox_url="http://127.0.0.1:9",
        stream_url="http://127.0.0.1:8001",
        sign_in_url="http://127.0.0.1:8000/accounts/login/",
        home=settings.BIOLAYER_HOME,
    )
    print(json.dumps({"api_key": access.api_key, "body": example_task(access)}))


if __name__ == "__main__":
    main()
