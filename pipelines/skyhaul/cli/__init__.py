"""The command line: it parses and prints, the library works. Each command is a file in `commands`."""
