"""Metrics as pure functions of histories, a window and a ``now`` that are given.

One app first: ``observe`` reduces a history to what a window counts of it. Figures of a fleet are
made of such observations, and say whether they pool all apps or are a median of apps.
"""
