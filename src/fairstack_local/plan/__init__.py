"""Words to typed plans: pure functions and tables, no pictures."""
