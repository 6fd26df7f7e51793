"""Index the session that an operator bound to a run, for the session's next claim."""

from django.db import migrations, models

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    # Indexes are built beside writes.
    atomic = False

    dependencies = [("operations", "0008_observe")]

    operations = [
        BuildIndex(
            "rundetails",
            models.Index(
                condition=models.Q(
                    models.Q(("session_id", ""), _negated=True), ("claim_token_hash", "")
                ),
                fields=["organisation", "session_id"],
                name="run_details_bound",
            ),
        ),
    ]
