"""Speed, measured against something: one file a benchmark."""
