"""The kernel: tasks, runs, evidence, and the one hand that writes a status."""
