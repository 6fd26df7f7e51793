"""Provide what every app uses, without business meaning."""
