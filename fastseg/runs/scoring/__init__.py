"""Cases scored: options, threads, the journal of what is finished."""
