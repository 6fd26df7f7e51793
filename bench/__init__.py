"""Measurements. No part of the service; `make bench` runs them."""
