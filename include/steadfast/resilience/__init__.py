"""What we do when something outside keeps failing: stop asking, and say until when."""
