"""Create the reviews, and the key by which tasks are drawn for them."""

import apps.base.fields
import apps.base.ids
import django.db.models.deletion
import uuid
from django.db import migrations, models

from apps.base.sql import same_organisation


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0010_audit_lists'),
        ('pools', '0009_review_policy'),
        ('tasks', '0022_review_indexes'),
    ]

    operations = [
        migrations.CreateModel(
            name='SamplingKey',
            fields=[
                ('id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000001'), editable=False, primary_key=True, serialize=False)),
                ('sealed', models.BinaryField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', uuid.UUID('00000000-0000-0000-0000-000000000001'))), name='one_sampling_key')],
            },
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.UUIDField(default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('attempt', models.PositiveSmallIntegerField()),
                ('round', models.PositiveSmallIntegerField()),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('claimed', 'Claimed'), ('approved', 'Approved'), ('rework', 'Rework'), ('rejected', 'Rejected'), ('expired', 'Expired'), ('auto_approved', 'Auto Approved')], default='waiting', max_length=13)),
                ('policy', apps.base.fields.JSON()),
                ('cause', models.CharField(max_length=12)),
                ('version', models.PositiveIntegerField(default=1)),
                ('requested_at', models.DateTimeField()),
                ('due_at', models.DateTimeField(null=True)),
                ('auto_approve_at', models.DateTimeField(null=True)),
                ('escalated_at', models.DateTimeField(null=True)),
                ('claimed_by', models.CharField(blank=True, max_length=300)),
                ('lease_until', models.DateTimeField(null=True)),
                ('reason', models.CharField(blank=True, max_length=4000)),
                ('pointers', apps.base.fields.JSON(default=list)),
                ('rating', models.PositiveSmallIntegerField(null=True)),
                ('decided_by', models.CharField(blank=True, max_length=300)),
                ('decided_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organisation')),
                ('pool', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pools.pool')),
                ('reviewer_worker', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reviews_given', to='pools.worker')),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tasks.run')),
                ('task', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='tasks.task')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pools.worker')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status__in', ['waiting', 'claimed'])), fields=['organisation', 'id'], name='review_open'), models.Index(fields=['organisation', '-id'], name='review_list'), models.Index(condition=models.Q(('status', 'claimed')), fields=['organisation', 'claimed_by', 'id'], name='review_claimed'), models.Index(condition=models.Q(('escalated_at__isnull', False), ('status__in', ['waiting', 'claimed'])), fields=['organisation', 'id'], name='review_overdue'), models.Index(condition=models.Q(('reviewer_worker__isnull', False)), fields=['reviewer_worker'], name='review_given_by')],
                'constraints': [models.UniqueConstraint(fields=('organisation', 'id'), name='review_in_its_organisation'), models.UniqueConstraint(condition=models.Q(('status__in', ['waiting', 'claimed'])), fields=('run',), name='review_one_open_per_run'), models.UniqueConstraint(fields=('task', 'round'), name='review_rounds_count_up'), models.CheckConstraint(condition=models.Q(('status__in', ['waiting', 'claimed', 'approved', 'rework', 'rejected', 'expired', 'auto_approved'])), name='review_status_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('lease_until__isnull', False), ('status', 'claimed'), models.Q(('claimed_by', ''), _negated=True)), models.Q(models.Q(('status', 'claimed'), _negated=True), ('claimed_by', ''), ('lease_until__isnull', True)), _connector='OR'), name='review_claimed_iff_leased'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by', ''), ('status__in', ['waiting', 'claimed'])), models.Q(models.Q(('status__in', ['waiting', 'claimed']), _negated=True), ('decided_at__isnull', False), models.Q(('decided_by', ''), _negated=True)), _connector='OR'), name='review_decided_iff_final'), models.CheckConstraint(condition=models.Q(('reviewer_worker__isnull', True), models.Q(('reviewer_worker', models.F('worker')), _negated=True), _connector='OR'), name='review_is_not_of_own_work'), models.CheckConstraint(condition=models.Q(('rating__isnull', True), ('rating__range', (1, 5)), _connector='OR'), name='review_rating_1_to_5')],
            },
        ),
        same_organisation("reviews_review", "task_id", "tasks_task"),
        same_organisation("reviews_review", "run_id", "tasks_run"),
        same_organisation("reviews_review", "pool_id", "pools_pool"),
        same_organisation("reviews_review", "worker_id", "pools_worker"),
        same_organisation("reviews_review", "reviewer_worker_id", "pools_worker"),
    ]
