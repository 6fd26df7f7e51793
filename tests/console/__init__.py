"""Test the operator's console."""
