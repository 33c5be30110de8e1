"""Files and folders that survive crashes, and locks."""
