"""Tell pages, which a person opens in a browser, from the calls of an API.

Only pages have cookies: an API path never reads one, and never pays for a session.
"""

# What `MIDDLEWARE` of pages runs for. The API's paths are everything else.
PREFIXES = ("/accounts", "/portal", "/oauth/authorize", "/static/")


def is_page(path: str) -> bool:
    """Return whether a path belongs to a page or to a page's file."""
    return path.startswith(PREFIXES)
