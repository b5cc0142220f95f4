"""The plugin test kit: a local HTTP receiver, sample messages, and the conformance suite every channel passes."""
