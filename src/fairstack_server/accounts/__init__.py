"""Who may use the gateway: accounts and their API keys."""
