"""The hub: settles each state change, routes it, stores it, and tells the observers."""
