"""The dashboard: what runs do now, from Redis, and what is known of those before, from the lake. It only reads."""
