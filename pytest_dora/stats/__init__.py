"""Statistics that say how little is known. Pure functions; imports nothing of ours."""
