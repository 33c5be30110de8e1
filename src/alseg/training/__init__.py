"""The trained module: loss terms, metrics, evaluation."""
