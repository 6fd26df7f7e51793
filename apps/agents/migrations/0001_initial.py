"""Create the agents, their sessions and their claims."""

import apps.base.fields
import apps.base.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from apps.base.sql import same_organisation


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0013_staff_access'),
        ('pools', '0009_review_policy'),
        ('tasks', '0024_claim_order'),
    ]

    operations = [
        migrations.CreateModel(
            name='AgentSession',
            fields=[
                ('id', models.UUIDField(default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('session_id', models.CharField(max_length=200)),
                ('agent_name', models.CharField(max_length=128)),
                ('channel', models.CharField(blank=True, max_length=64)),
                ('capabilities', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=128), default=list, size=None)),
                ('state', models.CharField(choices=[('active', 'Active'), ('stopped', 'Stopped')], default='active', max_length=7)),
                ('registered_by', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.worker')),
                ('workspace', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.pool')),
            ],
        ),
        migrations.CreateModel(
            name='AgentClaim',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('epoch', models.PositiveIntegerField()),
                ('token_hash', models.CharField(max_length=71)),
                ('idempotency_key', models.CharField(blank=True, max_length=255)),
                ('claimed_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('end', models.CharField(blank=True, choices=[('completed', 'Completed'), ('failed', 'Failed'), ('released', 'Released'), ('lost', 'Lost')], max_length=9)),
                ('completed_by', models.CharField(blank=True, max_length=300)),
                ('completed_by_member', models.UUIDField(null=True)),
                ('failure_metadata', apps.base.fields.JSON(null=True)),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tasks.run')),
                ('session', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='claims', to='agents.agentsession')),
            ],
        ),
        migrations.CreateModel(
            name='Agent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=128)),
                ('is_workers_own', models.BooleanField(default=False)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.worker')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organisation', 'name'), name='agent_name_once')],
            },
        ),
        migrations.AddIndex(
            model_name='agentsession',
            index=models.Index(fields=['organisation', '-created_at', '-id'], name='session_list'),
        ),
        migrations.AddIndex(
            model_name='agentsession',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['worker'], name='session_active'),
        ),
        migrations.AddIndex(
            model_name='agentsession',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['last_seen_at'], name='session_silent'),
        ),
        migrations.AddConstraint(
            model_name='agentsession',
            constraint=models.UniqueConstraint(fields=('organisation', 'id'), name='session_in_its_organisation'),
        ),
        migrations.AddConstraint(
            model_name='agentsession',
            constraint=models.UniqueConstraint(fields=('organisation', 'session_id'), name='session_id_is_unique'),
        ),
        migrations.AddConstraint(
            model_name='agentsession',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state', 'active')), models.Q(('ended_at__isnull', False), ('state', 'stopped')), _connector='OR'), name='session_ended_iff_not_active'),
        ),
        migrations.AddConstraint(
            model_name='agentclaim',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('session',), name='claim_one_open_per_session'),
        ),
        migrations.AddConstraint(
            model_name='agentclaim',
            constraint=models.UniqueConstraint(fields=('run', 'epoch'), name='claim_once_per_epoch'),
        ),
        migrations.AddConstraint(
            model_name='agentclaim',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end', ''), ('ended_at__isnull', True)), models.Q(('ended_at__isnull', False), ('end__in', ['completed', 'failed', 'released', 'lost'])), _connector='OR'), name='claim_has_an_end_iff_ended'),
        ),
        same_organisation("agents_agent", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("agents_agentsession", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("agents_agentsession", "workspace_id", "pools_pool", on_delete="CASCADE"),
        same_organisation("agents_agentclaim", "session_id", "agents_agentsession"),
        same_organisation("agents_agentclaim", "run_id", "tasks_run"),
    ]
