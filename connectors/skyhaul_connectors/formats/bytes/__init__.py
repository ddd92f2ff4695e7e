"""From the bytes of a chunk to a stream of decompressed bytes and its lines."""
