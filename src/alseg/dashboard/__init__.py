"""A project on Weights & Biases: who is logged in, what runs send, and how they are compared."""
