"""Each vendor's whole way through the gateway: order over HTTP, stand-in, stored clip, one charge."""
