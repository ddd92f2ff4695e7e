"""From a record's values to the fields of a schema: times, numbers, missing values, canonical JSON."""
