"""The operator's pages: the Django admin's lists, in our design, and pages of our own."""
