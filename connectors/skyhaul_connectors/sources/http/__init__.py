"""HTTP: ranges over pipelined connections, and whole documents."""
