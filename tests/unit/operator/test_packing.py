import json

from sidecar_operator.packing import Packer, version_of
from unit.operator.support.samples import RESULTS, evaluation, job


def test_what_is_packed_is_unpacked_as_it_was() -> None:
    packer = Packer()
    for number in range(3):
        raw = evaluation(status={"results": RESULTS, "text": "\u00e4 \U0001f600 \ud800 \n"}, generation=number)
        packed = packer.pack(raw, 7)
        assert packer.unpack(packed) == raw
        assert version_of(packed) == 7


def test_objects_that_are_alike_take_little() -> None:
    packer = Packer()
    packer.pack(job(evaluation()), 1)
    second = job(evaluation(), name="mnist-11111111")
    assert len(packer.pack(second, 2)) < 0.3 * len(json.dumps(second))


def test_versions_are_read_without_unpacking() -> None:
    assert version_of(Packer().pack({}, 2**60)) == 2**60
