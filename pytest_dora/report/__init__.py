"""From results to one report, its gate and its files."""
