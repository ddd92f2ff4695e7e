"""S3 by signed requests of our own."""
