"""Define the contract as nested serializers."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers

from bench.usual_way.models import Delivery, Event, Task, Timer

SLUG = r"^[a-z0-9_.-]{1,64}$"


class OriginSerializer(serializers.Serializer):
    org_id = serializers.UUIDField(source="organisation_id")
    product = serializers.CharField(max_length=100)
    request_id = serializers.CharField(max_length=200)
    created_by = serializers.CharField(max_length=200)
    created_at = serializers.DateTimeField(source="raised_at")


class ContextSerializer(serializers.Serializer):
    background = serializers.CharField(max_length=20_000, allow_blank=True, default="")
    constraints = serializers.ListField(
        child=serializers.CharField(max_length=1000), max_length=50, default=list
    )
    risk_notes = serializers.ListField(
        child=serializers.CharField(max_length=1000), max_length=50, default=list
    )


class SlaSerializer(serializers.Serializer):
    urgency = serializers.ChoiceField(choices=["low", "normal", "high", "critical"])
    deadline = serializers.DateTimeField()
    target_latency_seconds = serializers.IntegerField(min_value=1, max_value=31_536_000)

    def validate_deadline(self, deadline: Any) -> Any:
        if deadline <= timezone.now():
            raise serializers.ValidationError("must be in the future")
        return deadline


class RequirementsSerializer(serializers.Serializer):
    skills = serializers.ListField(child=serializers.RegexField(SLUG), max_length=32)
    certifications = serializers.ListField(child=serializers.RegexField(SLUG), max_length=32)
    trust_level = serializers.IntegerField(min_value=0, max_value=5)
    min_rating = serializers.FloatField(min_value=0, max_value=5)
    worker_pool_id = serializers.UUIDField()


class OutputSerializer(serializers.Serializer):
    expected_format = serializers.ChoiceField(choices=["structured_json", "text", "file"])
    schema = serializers.DictField()
    evidence_required = serializers.BooleanField(default=False)


class CallbackAuthSerializer(serializers.Serializer):
    type = serializers.ChoiceField(choices=["none", "bearer", "basic", "header"])
    token = serializers.CharField(max_length=4096, required=False, write_only=True)


class RetryPolicySerializer(serializers.Serializer):
    max_retries = serializers.IntegerField(min_value=0, max_value=20, default=8)
    backoff_seconds = serializers.IntegerField(min_value=1, max_value=3600, default=30)


class HandoffSerializer(serializers.Serializer):
    callback_url = serializers.URLField(max_length=2048)
    callback_auth = CallbackAuthSerializer()
    retry_policy = RetryPolicySerializer()


class AuditSerializer(serializers.Serializer):
    log_required = serializers.BooleanField(default=False)
    retain_days = serializers.IntegerField(min_value=1, max_value=3650)


class TaskSerializer(serializers.ModelSerializer):
    origin = OriginSerializer(source="*")
    context = ContextSerializer()
    sla = SlaSerializer(source="*")
    requirements = RequirementsSerializer()
    output = OutputSerializer()
    handoff = HandoffSerializer()
    audit = AuditSerializer()

    class Meta:
        model = Task
        fields = [
            *("id", "status", "created_at", "updated_at", "origin", "task_type", "domain"),
            *("title", "instructions", "context", "sla", "requirements", "output", "handoff"),
            "audit",
        ]
        read_only_fields = ["status"]

    def validate_origin(self, origin: dict[str, Any]) -> dict[str, Any]:
        if origin["organisation_id"] != self.context["request"].user.id:
            raise serializers.ValidationError("not the organisation of this key")
        return origin

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> Task:
        task = Task.objects.create(**validated_data)
        event = Event.objects.create(
            task=task, sequence=1, type="task.created", data={"status": task.status}
        )
        Delivery.objects.create(task=task, url=task.handoff["callback_url"], body=_body(event))
        Timer.objects.create(task=task, kind="sla_deadline", due_at=task.deadline)
        return task


def _body(event: Event) -> dict[str, Any]:
    """Return the body of the callback."""
    task = event.task
    return {
        "type": event.type,
        "timestamp": event.occurred_at.isoformat(),
        "data": {
            "task_id": str(task.id),
            "sequence": event.sequence,
            "status": task.status,
            "task_type": task.task_type,
            "domain": task.domain,
            "title": task.title,
            "origin": {
                "org_id": str(task.organisation_id),
                "product": task.product,
                "request_id": task.request_id,
                "created_by": task.created_by,
                "created_at": task.raised_at.isoformat(),
            },
        },
    }
