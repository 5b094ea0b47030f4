"""SQL text in, a private Release out."""
