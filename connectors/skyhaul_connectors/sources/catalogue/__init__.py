"""What names objects: globs, lists, checksums, indexes."""
