"""The numbers of a run, from its records alone."""
