"""Boxes in which untrusted code runs: bubblewrap where it works, Landlock where it does not."""
