#!/usr/bin/env python
"""Run Django's command line. An old Python can parse this file, and report that it is too old."""

import os
import sys


def main():
    if sys.version_info < (3, 11):
        found = "%d.%d.%d" % sys.version_info[:3]  # noqa: UP031
        sys.exit("BioLayer needs Python 3.11 or newer; this is " + found)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["tick"]:
        os.environ.setdefault("BIOLAYER_PROCESS", "ticker")
    from biolayer import interpreter

    interpreter.require("django")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        reason = str(error).strip().split("\n")[0]
        sys.exit(
            f"PostgreSQL does not answer: {reason}. Check that `make run` is running with the same"
            " BIOLAYER_HOME, or that DATABASE_URL is right."
        )


if __name__ == "__main__":
    main()
