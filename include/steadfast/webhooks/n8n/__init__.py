"""The sender's side: what n8n could not deliver is read back from its failed executions."""
