"""What every door needs of HTTP: who calls, how much, what went wrong, and the same answer twice."""
