"""Plain text, whole, by line or by paragraph."""
