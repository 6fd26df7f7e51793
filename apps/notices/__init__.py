"""Tell workers of offers, deadlines and messages while they have no page open."""
