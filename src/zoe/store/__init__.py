"""Where all state lives: PostgreSQL, and a twin in memory that behaves the same."""
