"""Know organisations, credentials and what their callers may do."""
