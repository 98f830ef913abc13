"""Outgoing webhooks: signed, stored with the event they tell, retried until they are taken."""
