"""Looking at events, mending them, and letting them run once more."""
