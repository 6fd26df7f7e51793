"""Define the bodies that `/v1` returns.

The response models are open, as those of events are: new fields may be added at any time, and a
client keeps or ignores fields that it does not know.
"""
