"""Notes: a store and the HTTP interface to it."""
