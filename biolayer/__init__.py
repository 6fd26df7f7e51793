"""Provide what the service and its clients share: lifecycle, contract, signatures, errors, client.

The package depends on no web framework, so any product backend can install it.
"""
