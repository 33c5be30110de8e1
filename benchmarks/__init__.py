"""What parts of alseg cost in time and memory; run with `python -m benchmarks.NAME`."""
