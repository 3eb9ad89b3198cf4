"""The peer's API, served by `granian --interface wsgi benchmarks.peer.wsgi:application`."""

from django.db import transaction
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.peer.celery import carry_out
from benchmarks.peer.models import Job


class JobSerializer(serializers.ModelSerializer):
    class Meta:
        model = Job
        fields = ["id", "payload", "status", "finished_at"]
        read_only_fields = ["status", "finished_at"]


class JobsView(APIView):
    """Save a row, hand its task over after commit."""

    def post(self, request: Request) -> Response:
        serializer = JobSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            job = serializer.save()
            transaction.on_commit(lambda: carry_out.delay(job.pk))
        return Response(serializer.data, status=202)


class JobView(APIView):
    """Look at a row."""

    def get(self, request: Request, key: int) -> Response:
        return Response(JobSerializer(Job.objects.get(pk=key)).data)


urlpatterns = [path("jobs", JobsView.as_view()), path("jobs/<int:key>", JobView.as_view())]
