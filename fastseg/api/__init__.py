"""What people call: count, then a metric; the evaluator; tables of results."""
