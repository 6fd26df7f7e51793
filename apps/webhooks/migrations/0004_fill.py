"""Destinations get their origin, deliveries their message."""

from django.db import migrations

from apps.webhooks.origins import origin_id, origin_of

MESSAGES = """
INSERT INTO webhooks_message (id, organisation_id, subject_id, sequence, event_type, body,
        thin_body, domain, is_test, created_at)
    SELECT id, organisation_id, subject_id, sequence, event_type, body, body, '', false, created_at
    FROM webhooks_delivery;
UPDATE webhooks_delivery d SET message_id = d.id, origin_id = t.origin_id
    FROM webhooks_destination t WHERE t.id = d.destination_id;
"""


def find_origins(apps, schema_editor):
    """By the very function that finds them from now on."""
    destinations = apps.get_model("webhooks", "Destination").objects
    origins = apps.get_model("webhooks", "Origin").objects
    urls = destinations.values_list("organisation_id", "url").distinct()
    for organisation_id, url in urls.iterator():
        text = origin_of(url)
        known = origin_id(organisation_id, text)
        origins.get_or_create(id=known, organisation_id=organisation_id, text=text)
        destinations.filter(organisation_id=organisation_id, url=url).update(origin_id=known)


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0003_origins_messages_keys")]
    operations = [
        migrations.RunPython(find_origins, migrations.RunPython.noop),
        migrations.RunSQL(MESSAGES, migrations.RunSQL.noop),
    ]
