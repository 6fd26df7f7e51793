"""Run the whole service on one machine: embedded servers, a supervisor and a demo organisation.

`manage.py up` (`make run`) is here. Nothing in production needs this package: the Docker image
leaves it out.
"""
