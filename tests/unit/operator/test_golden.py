import golden


def test_the_manifests_are_what_is_rendered() -> None:
    assert golden.outdated() == [], "run `make generate` and look at the difference"


def test_every_kind_of_source_has_a_case() -> None:
    kinds = {kind for case in golden.cases() for kind in golden.resource(case)["spec"]["checkpoints"]["source"]}
    assert kinds == {"persistentVolumeClaim", "gcs", "s3"}
