"""From the inbox into typed tables: `plan.py` makes chunks, `process.py` applies them."""
