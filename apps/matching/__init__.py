"""Who gets which task, and the offers that ask them."""
