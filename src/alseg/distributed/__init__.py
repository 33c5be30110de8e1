"""Several processes that do one thing, and how they stop together."""
