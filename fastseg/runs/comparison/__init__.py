"""Two runs on the same cases, compared."""
