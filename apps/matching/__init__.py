"""Match queued tasks to workers: docs/matching.md says by which rules, docs/adr/0012 how."""
