"""Let a run be taken back by an operator: for new rows at once."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tasks", "0016_schema_text")]

    operations = [
        migrations.RemoveConstraint("returnedrun", "run_returned_by_a_known_way"),
        AddConstraintNotValid(
            "returnedrun",
            models.CheckConstraint(
                condition=Q(("way__in", ["released", "lapsed", "recalled"])),
                name="run_returned_by_a_known_way",
            ),
        ),
        migrations.AlterField(
            "returnedrun",
            "way",
            models.CharField(
                choices=[
                    ("released", "Released"),
                    ("lapsed", "Lapsed"),
                    ("recalled", "Recalled"),
                ],
                max_length=8,
            ),
        ),
    ]
