"""Tasks that come with tocsin."""
