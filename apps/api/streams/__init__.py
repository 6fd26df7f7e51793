"""Serve the organisation's events as they happen: by pages with a long poll, or as a stream.

The web process and the ASGI process read the same pages. In the web process few calls may wait at a
time. In the ASGI process any number may: a waiting call needs a socket there, but no thread and no
database connection.
"""
