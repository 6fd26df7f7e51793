"""Create what notices need: settings, browsers, notices, digests, and the push key."""

import apps.base.fields
import apps.base.ids
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models

from apps.base.sql import same_organisation, vacuumed_often


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0010_audit_lists'),
        ('pools', '0005_worker_user'),
    ]

    operations = [
        migrations.CreateModel(
            name='Device',
            fields=[
                ('id', models.UUIDField(default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('endpoint_hash', models.BinaryField(max_length=32)),
                ('sealed', models.BinaryField()),
                ('name', models.CharField(max_length=100)),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('problem', models.CharField(blank=True, max_length=200)),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.worker')),
            ],
        ),
        migrations.CreateModel(
            name='Digest',
            fields=[
                ('id', models.UUIDField(default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('channel', models.CharField(choices=[('email', 'Email'), ('push', 'Push')], max_length=5)),
                ('subjects', apps.base.fields.JSON()),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('claim_token', models.UUIDField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('device', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='notices.device')),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.worker')),
            ],
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('offer', 'Offer'), ('due_soon', 'Due Soon'), ('message', 'Message'), ('test', 'Test')], max_length=10)),
                ('subject_id', models.UUIDField()),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
                ('worker', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='pools.worker')),
            ],
        ),
        migrations.CreateModel(
            name='Preference',
            fields=[
                ('worker', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='pools.worker')),
                ('by_email', models.BooleanField(default=False)),
                ('by_push', models.BooleanField(default=False)),
                ('offers', models.BooleanField(default=True)),
                ('due_soon', models.BooleanField(default=True)),
                ('messages', models.BooleanField(default=True)),
                ('quiet_from', models.CharField(blank=True, max_length=5)),
                ('quiet_until', models.CharField(blank=True, max_length=5)),
                ('pause_minutes', models.PositiveSmallIntegerField(default=5)),
                ('language', models.CharField(default='en', max_length=10)),
                ('next_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='PushKey',
            fields=[
                ('id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000001'), editable=False, primary_key=True, serialize=False)),
                ('sealed', models.BinaryField()),
                ('public', models.CharField(max_length=90)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', uuid.UUID('00000000-0000-0000-0000-000000000001'))), name='one_push_key')],
            },
        ),
        migrations.AddConstraint(
            model_name='device',
            constraint=models.UniqueConstraint(fields=('organisation', 'id'), name='device_in_its_organisation'),
        ),
        migrations.AddConstraint(
            model_name='device',
            constraint=models.UniqueConstraint(fields=('endpoint_hash', 'worker'), name='device_once_for_a_worker'),
        ),
        migrations.AddIndex(
            model_name='digest',
            index=models.Index(fields=['due_at', 'id'], name='digest_due'),
        ),
        migrations.AddConstraint(
            model_name='digest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('channel', 'email'), ('device__isnull', True)), models.Q(('channel', 'push'), ('device__isnull', False)), _connector='OR'), name='digest_of_a_push_has_a_device'),
        ),
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(fields=['due_at', 'id'], name='notice_due'),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['offer', 'due_soon', 'message', 'test'])), name='notice_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='preference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('quiet_from', ''), ('quiet_until', '')), models.Q(models.Q(('quiet_from', ''), _negated=True), models.Q(('quiet_until', ''), _negated=True), models.Q(('quiet_from', models.F('quiet_until')), _negated=True)), _connector='OR'), name='quiet_hours_have_both_ends'),
        ),
        migrations.AddConstraint(
            model_name='preference',
            constraint=models.CheckConstraint(condition=models.Q(('pause_minutes__range', (1, 240))), name='notices_pause_1_to_240'),
        ),
        same_organisation("notices_preference", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("notices_device", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("notices_notice", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("notices_digest", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("notices_digest", "device_id", "notices_device", on_delete="CASCADE"),
        vacuumed_often("notices_notice", "notices_digest"),
    ]
