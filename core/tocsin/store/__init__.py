"""The outbox: events, incidents and deliveries, committed before the pipeline goes on."""
