"""What was seen and must be told: signals are rows, recorded once by their key, mailed once each."""
