"""The service without a part of its access checks, to measure what each costs (access_cost.py)."""
