"""What `import skyhaul` gives: `haul`, `plan`, `verify` and `Dataset`; the command line stands on it, too."""
