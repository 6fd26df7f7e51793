"""Adapt Django OAuth Toolkit: which flows there are, and how codes and tokens are kept.

Its settings name these classes (config/settings).
"""
