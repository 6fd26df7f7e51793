"""Keep the figures that operators look at: how many tasks wait, how long they take, what runs."""
