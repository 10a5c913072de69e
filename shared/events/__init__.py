"""What the services tell each other: event types, their codec and their catalogue."""
