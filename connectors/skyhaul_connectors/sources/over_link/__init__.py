"""Sources behind a link: emulated, paced, counted."""
