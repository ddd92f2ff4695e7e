"""How bytes get here and become records. Knows nothing of Beam."""
