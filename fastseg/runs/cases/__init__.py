"""Which files are a case."""
