"""What a link costs and allows: caps, prices, hours, the ledger."""
