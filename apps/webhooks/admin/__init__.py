"""List endpoints, hosts, deliveries and recoveries in the operator's console."""

from apps.webhooks.admin.deliveries import DeliveryAdmin
from apps.webhooks.admin.endpoints import EndpointAdmin
from apps.webhooks.admin.origins import OriginAdmin
from apps.webhooks.admin.recoveries import RecoveryAdmin

__all__ = ["DeliveryAdmin", "EndpointAdmin", "OriginAdmin", "RecoveryAdmin"]
