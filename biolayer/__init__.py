"""Provide what the service and its clients share: lifecycle, contract, signatures, errors, client.

The package depends on no web framework, so any product backend can install it.
"""

VERSION = "0.2.0"
"""The version of the package, as pyproject.toml has it."""
