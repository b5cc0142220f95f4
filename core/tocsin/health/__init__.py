"""How tocsin fares: what stands and waits, what needs a person, and who is told."""
