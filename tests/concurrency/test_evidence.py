"""Uploads of one file that run at the same time."""

from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.base import clock
from apps.tasks.models import Evidence, StoredFile
from apps.tasks.services import upload_evidence
from tests.api.steps import JPEG
from tests.concurrency.together import together
from tests.factories import House


def test_upload__of_the_same_file_at_once_is_one_file(house: House) -> None:
    run, actor = house.started(), house.bob.principal

    def upload() -> UUID:
        file = SimpleUploadedFile("door.jpg", JPEG)
        return upload_evidence(
            actor=actor, run_id=run.id, epoch=run.epoch, file=file, at=clock.now()
        ).id

    assert len(set(together(*[upload] * 4))) == 1
    assert Evidence.objects.count() == 1
    assert StoredFile.objects.filter(state="kept").count() == 1
