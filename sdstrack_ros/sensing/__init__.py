"""From raw sensor data to what the tracker can use, and how well each sensor does."""
