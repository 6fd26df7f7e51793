"""Run the lifecycle of tasks: the transition table's only writer, runs, evidence."""
