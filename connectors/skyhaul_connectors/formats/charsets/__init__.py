"""Character encodings: their labels, how they are guessed, and what is no text."""
