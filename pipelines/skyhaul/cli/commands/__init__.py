"""The commands of the program: a module a command, which the program finds by its name."""
