"""Create the teams."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from apps.base.sql import same_organisation


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0013_staff_access'),
        ('pools', '0009_review_policy'),
    ]

    operations = [
        migrations.CreateModel(
            name='Team',
            fields=[
                ('pool', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='team', serialize=False, to='pools.pool')),
                ('status', models.CharField(choices=[('active', 'Active'), ('paused', 'Paused'), ('archived', 'Archived')], default='active', max_length=8)),
                ('windows', models.PositiveIntegerField(default=0)),
                ('window_opened_at', models.DateTimeField(null=True)),
                ('next_window_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('organisation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organisation')),
            ],
            options={
                'indexes': [models.Index(fields=['organisation', '-created_at', '-pool'], name='team_list')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['active', 'paused', 'archived'])), name='team_status_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('next_window_at__isnull', False), ('status', 'active')), models.Q(models.Q(('status', 'active'), _negated=True), ('next_window_at__isnull', True)), _connector='OR'), name='team_active_iff_it_has_a_next_window'), models.CheckConstraint(condition=models.Q(models.Q(('window_opened_at__isnull', True), ('windows', 0)), models.Q(('window_opened_at__isnull', False), ('windows__gt', 0)), _connector='OR'), name='team_windows_have_a_time')],
            },
        ),
        same_organisation("teams_team", "pool_id", "pools_pool", on_delete="CASCADE"),
    ]
