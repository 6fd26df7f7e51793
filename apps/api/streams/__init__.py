"""The organisation's events as they happen: pulled page by page with a long poll, or as a stream.

The same pages are read by the web process, where only a few calls may wait, and by the ASGI process,
where as many may as like to: a waiting call costs a socket there, no thread and no connection.
"""
