"""Check `output.schema`: whether a contract may have it, and whether an output satisfies it.

A schema may be as deep as its generator makes it: what counts is the work of checking it. A schema
is refused where the bound of its cost is too high; a costly one is checked in a process with limits
of time and memory.
"""
