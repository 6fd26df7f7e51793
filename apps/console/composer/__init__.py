"""Compose a contract: examples, its check with lines of the text, and the call for a shell."""
