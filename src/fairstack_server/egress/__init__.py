"""The only way out to addresses that came from a user or a provider.

`judge_url` and `judge_addresses` decide (pure); `Egress` fetches and posts under that judgement.
"""

from fairstack_server.egress.address import blocked_reason, judge_addresses
from fairstack_server.egress.client import Egress, PostAnswer, Purpose
from fairstack_server.egress.connect import GuardedConnector, guarded_connector
from fairstack_server.egress.errors import AddressRefused, EgressError, TransferFailed
from fairstack_server.egress.resolve import Resolver, SystemResolver
from fairstack_server.egress.transfer import Pace, Transfer
from fairstack_server.egress.url import Target, judge_url, origin_of

__all__ = [
    "AddressRefused",
    "Egress",
    "EgressError",
    "GuardedConnector",
    "Pace",
    "PostAnswer",
    "Purpose",
    "Resolver",
    "SystemResolver",
    "Target",
    "Transfer",
    "TransferFailed",
    "blocked_reason",
    "guarded_connector",
    "judge_addresses",
    "judge_url",
    "origin_of",
]
