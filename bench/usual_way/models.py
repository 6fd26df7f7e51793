"""Store the four rows of a create, and the API keys."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class Organisation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        """Return True: the organisation is the user of its key's requests."""
        return True


class ApiKey(models.Model):
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.digest


class Task(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)
    status = models.CharField(max_length=20, default="created", db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    product = models.CharField(max_length=100)
    request_id = models.CharField(max_length=200)
    created_by = models.CharField(max_length=200)
    raised_at = models.DateTimeField()
    task_type = models.CharField(max_length=64)
    domain = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    instructions = models.TextField()
    context = models.JSONField(default=dict)
    urgency = models.CharField(max_length=10)
    deadline = models.DateTimeField()
    target_latency_seconds = models.PositiveIntegerField()
    requirements = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    output = models.JSONField(default=dict)
    handoff = models.JSONField(default=dict)
    audit = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "product", "request_id"], name="request_id_is_unique"
            )
        ]

    def __str__(self) -> str:
        return self.title


class Event(models.Model):
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "sequence"], name="one_event_for_each_step")
        ]

    def __str__(self) -> str:
        return f"{self.type} of {self.task_id}"


class Delivery(models.Model):
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="deliveries")
    url = models.URLField(max_length=2048)
    body = models.JSONField()
    status = models.CharField(max_length=10, default="pending")
    due_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.url} ({self.status})"


class Timer(models.Model):
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="timers")
    kind = models.CharField(max_length=40)
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.kind} of {self.task_id}"
