"""Everything that must happen at a time is a row here."""
