"""Many runs from one file: strategies, budgets, seeds and protocols as one table of runs."""
