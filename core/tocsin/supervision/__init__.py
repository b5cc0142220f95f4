"""A run in a child process: its signals, its end, and what the parent knows of it. Light: imported before all else."""
