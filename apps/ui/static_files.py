"""Name static files by their content once they are collected."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Use the hashed names of `collectstatic`; the plain ones where it has not run."""

    # A module that another imports by its plain name would be a second one beside the page's.
    # Django finds imports that end with a semicolon.
    support_js_module_import_aggregation = True

    def stored_name(self, name: str) -> str:
        return str(super().stored_name(name)) if self.hashed_files else name
