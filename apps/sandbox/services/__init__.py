"""Equip sandboxes, and act for their simulated workers. Import the services from here."""

from apps.sandbox.services.equipment import equip_sandbox
from apps.sandbox.services.simulation import take_due_steps

__all__ = ["equip_sandbox", "take_due_steps"]
