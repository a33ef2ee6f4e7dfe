"""What people say of labels: declared, named, ignored, united, mapped; the tables that they have."""
