"""Throwaway services that apps need: each in a sandbox of its own, reached through a bridge."""
