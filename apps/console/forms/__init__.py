"""The forms of the console, by subject."""
