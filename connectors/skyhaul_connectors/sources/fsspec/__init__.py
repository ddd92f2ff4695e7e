"""Object stores and file servers by way of fsspec."""
