"""What a run is: settings, budget, schedule; nothing here imports PyTorch."""
