from django.db import models


class Job(models.Model):
    payload = models.JSONField()
    status = models.TextField(default="queued", db_index=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "peer"
