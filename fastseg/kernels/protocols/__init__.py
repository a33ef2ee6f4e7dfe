"""What passes between the counting loops and a backend, and what a backend has to have."""
