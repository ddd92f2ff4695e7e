"""What a link is like: profiles, presets, contact plans, traces."""
