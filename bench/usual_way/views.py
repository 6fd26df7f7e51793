"""One view."""

from rest_framework import generics

from bench.usual_way.models import Task
from bench.usual_way.serializers import TaskSerializer


class TaskCreate(generics.CreateAPIView):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer
