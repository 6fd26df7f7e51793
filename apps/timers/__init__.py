"""Fire what must happen at a time."""
