"""From production events to DORA metrics: events in, a store, entities by folding, numbers."""
