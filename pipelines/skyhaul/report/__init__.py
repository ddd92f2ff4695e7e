"""What a person or a script gets to see: progress, logs, summaries, findings. Decides nothing."""
