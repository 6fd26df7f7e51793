"""Check the existing rows of returned runs, without blocking writes."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tasks", "0017_recalled_runs")]

    operations = [ValidateConstraint("returnedrun", "run_returned_by_a_known_way")]
