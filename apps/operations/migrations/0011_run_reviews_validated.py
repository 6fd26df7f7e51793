"""Check the existing details of runs, without blocking writes."""

from django.db import migrations

from apps.base.sql import validated_key


class Migration(migrations.Migration):
    dependencies = [("operations", "0010_run_reviews")]

    operations = [
        validated_key("operations_rundetails", "review_id"),
        validated_key("operations_rundetails", "reviewed_run_id"),
    ]
