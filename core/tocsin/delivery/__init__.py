"""Delivery: the worker leases, the sender makes one attempt, back-off says when to try again."""
