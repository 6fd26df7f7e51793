"""Create the roll-ups of tasks, the result of recounts, and the processes that run."""

import apps.base.ids
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import vacuumed_often
from apps.tasks.models import SetHash

GATES_COUNTED = """
-- Count a task at `created` elsewhere when its last gate opens, or its first one closes. These are no
-- transitions, and the statement that moves gates knows the new number of them only here.
CREATE FUNCTION operations_gate_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sla varchar := CASE
        WHEN num_nonnulls(NEW.deadline_breached_at, NEW.latency_breached_at) > 0 THEN 'breached'
        WHEN num_nonnulls(NEW.deadline_at_risk_at, NEW.latency_at_risk_at) > 0 THEN 'at_risk'
        ELSE 'none' END;
BEGIN
    INSERT INTO operations_taskchange (organisation_id, pool_ids, domain, left_stage, left_sla,
        stage, sla, occurred_at)
    VALUES (NEW.organisation_id, NEW.pool_ids, NEW.domain,
        CASE WHEN OLD.gate_count > 0 THEN 'gated' ELSE 'waiting' END, sla,
        CASE WHEN NEW.gate_count > 0 THEN 'gated' ELSE 'waiting' END, sla, clock_timestamp());
    RETURN NULL;
END $$;

CREATE TRIGGER tasks_task_gate_moves AFTER UPDATE OF gate_count ON tasks_task
    FOR EACH ROW WHEN (OLD.status = 'created' AND NEW.status = 'created'
        AND (OLD.gate_count > 0) <> (NEW.gate_count > 0))
    EXECUTE FUNCTION operations_gate_moves();
"""
GATES_UNCOUNTED = """
DROP TRIGGER tasks_task_gate_moves ON tasks_task;
DROP FUNCTION operations_gate_moves();
"""
# Every transition writes a row, which is never looked up by its id.
UNKEYED = "ALTER TABLE operations_taskchange DROP CONSTRAINT operations_taskchange_pkey"
KEYED = "ALTER TABLE operations_taskchange ADD PRIMARY KEY (id)"
# A changed count stays on its page: no index has the column.
ROOM = [
    "ALTER TABLE operations_taskcount SET (fillfactor = 50)",
    "ALTER TABLE operations_tasktiming SET (fillfactor = 70)",
]
NO_ROOM = [
    "ALTER TABLE operations_taskcount RESET (fillfactor)",
    "ALTER TABLE operations_tasktiming RESET (fillfactor)",
]


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0010_audit_lists'),
        ('tasks', '0018_recalled_runs_validated'),
    ]

    operations = [
        migrations.CreateModel(
            name='Process',
            fields=[
                ('id', models.UUIDField(default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('host', models.CharField(max_length=255)),
                ('pid', models.PositiveIntegerField()),
                ('version', models.CharField(max_length=40)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('last_drain', models.CharField(blank=True, max_length=40)),
                ('last_drain_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name_plural': 'processes',
            },
        ),
        migrations.CreateModel(
            name='Recount',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('ran_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('version', models.CharField(max_length=40)),
                ('drift', models.PositiveIntegerField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='recount_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='TaskChange',
            fields=[
                ('pool_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), null=True, size=None)),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('domain', models.CharField(max_length=64)),
                ('left_stage', models.CharField(max_length=7, null=True)),
                ('left_sla', models.CharField(max_length=8, null=True)),
                ('stage', models.CharField(max_length=7, null=True)),
                ('sla', models.CharField(max_length=8, null=True)),
                ('number', models.IntegerField(db_default=1)),
                ('flow', models.CharField(max_length=9, null=True)),
                ('measure', models.CharField(max_length=18, null=True)),
                ('bucket', models.PositiveSmallIntegerField(null=True)),
                ('occurred_at', models.DateTimeField()),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='TaskCount',
            fields=[
                ('pool_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('domain', models.CharField(max_length=64)),
                ('stage', models.CharField(choices=[('gated', 'Gated'), ('waiting', 'Waiting'), ('offered', 'Offered'), ('active', 'Active')], max_length=7)),
                ('sla', models.CharField(max_length=8)),
                ('number', models.IntegerField()),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('stage__in', ['gated', 'waiting', 'offered', 'active'])), name='count_stage_is_known')],
                'indexes': [models.Index(models.F('organisation'), SetHash(models.F('pool_ids')), models.F('domain'), name='count_of_set')],
            },
        ),
        migrations.CreateModel(
            name='TaskTiming',
            fields=[
                ('pool_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('measure', models.CharField(max_length=18)),
                ('granularity', models.CharField(choices=[('minute', 'Minute'), ('hour', 'Hour'), ('day', 'Day')], max_length=6)),
                ('begins_at', models.DateTimeField()),
                ('bucket', models.PositiveSmallIntegerField()),
                ('number', models.IntegerField()),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
            ],
            options={
                'indexes': [models.Index(models.F('organisation'), SetHash(models.F('pool_ids')), models.F('granularity'), models.F('begins_at'), models.F('measure'), models.F('bucket'), name='timing_of_set')],
            },
        ),
        migrations.RunSQL(GATES_COUNTED, GATES_UNCOUNTED),
        migrations.RunSQL(UNKEYED, KEYED),
        migrations.RunSQL(ROOM, NO_ROOM),
        vacuumed_often(
            'operations_taskchange', 'operations_taskcount', 'operations_tasktiming'
        ),
    ]
