"""The only validation: any input becomes canonical views, without a copy, cut into spans."""
