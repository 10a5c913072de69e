"""Takes deliveries in: finds them, keeps their bytes, turns them into staged rows."""
