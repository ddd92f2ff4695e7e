"""What has arrived, on disk: verified, journaled, lasting."""
