"""What a user says: tasks, flows, parameters, triggers, signals, and the context of a run.

The names a user needs stand in `tocsin`, which loads a module of this package when one of its names is first used.
"""
