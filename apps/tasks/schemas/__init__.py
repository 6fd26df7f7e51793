"""`output.schema`: whether a contract may have it, and whether an output satisfies it.

A schema may be as deep as its generator likes: what counts is the work that it makes. What could be
dear is refused where the bound of its cost is too high, and else checked within limits of time and memory.
"""
