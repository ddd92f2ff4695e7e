"""Which objects a web server has: autoindex pages, lists of URLs, and their pins."""
