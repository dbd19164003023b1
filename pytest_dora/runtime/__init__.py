"""Untrusted code at arm's length: workspaces, sandboxes, services, and the stages of an app."""
