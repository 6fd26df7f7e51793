"""Tell the whole story of a task on one page."""
