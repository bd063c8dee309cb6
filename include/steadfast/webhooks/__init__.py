"""Webhooks: received, kept, read into typed tables; nothing that was acknowledged is lost or doubled."""
