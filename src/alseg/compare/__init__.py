"""Runs side by side: what each strategy bought for its labels, and whether it can be told apart."""
