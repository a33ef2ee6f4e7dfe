"""The work: jobs on threads, streams, boxes and tiles; their results merged in order."""
