"""The three views."""

from django.db.models import QuerySet
from rest_framework import generics
from rest_framework.pagination import CursorPagination

from bench.usual_way.models import Task
from bench.usual_way.serializers import TaskSerializer


class NewestFirst(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 25


class Tasks(generics.ListCreateAPIView):
    serializer_class = TaskSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> "QuerySet[Task]":
        return Task.objects.filter(organisation=self.request.user)


class TaskDetail(generics.RetrieveAPIView):
    serializer_class = TaskSerializer

    def get_queryset(self) -> "QuerySet[Task]":
        return Task.objects.filter(organisation=self.request.user)
