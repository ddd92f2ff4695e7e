"""skyhaul: planning, hauling on Apache Beam, verifying, and the command line."""
