"""Checkpoints: what goes in comes out, and no damage to the file and no interrupted save goes unnoticed."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same_state

from npdsconv import checkpoint, disk


class Stateful:
    """The smallest thing with a state: stands for a model or an optimiser."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return dict(self.state)


def model(seed=0):
    rng = np.random.default_rng(seed)
    return Stateful(
        **{
            "0.weight": rng.standard_normal((3, 1, 2, 5)).astype(np.float32),
            "0.bias": rng.standard_normal(3),
            "1.counter": np.array(7, dtype=np.uint64),
            "1.empty": np.zeros((0, 4), dtype=np.float32),
        }
    )


def optimizer(seed=1):
    rng = np.random.default_rng(seed)
    return Stateful(**{"steps": np.array([4, 0, 4]), "m.0": rng.standard_normal((3, 1, 2, 5))})


def test_everything_saved_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "checkpoint.npz"
    position = {"epoch": 3, "lr": 0.1, "name": "größe", "sizes": [1, 2], "best": None, "config": {"a": True}}
    checkpoint.save(path, model=model(), optimizer=optimizer(), **position)
    saved = checkpoint.load(path)
    assert_same_state(saved.state, model().state)
    assert_same_state(saved.optimizer, optimizer().state)
    assert saved.meta == position


def test_special_float_values_survive(tmp_path):
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, np.finfo(np.float32).max], dtype=np.float32)
    checkpoint.save(tmp_path / "c.npz", model=Stateful(w=values))
    loaded = checkpoint.load(tmp_path / "c.npz").state["w"]
    np.testing.assert_array_equal(loaded.view(np.uint32), values.view(np.uint32))


def test_without_optimizer_the_optimizer_part_is_empty(tmp_path):
    checkpoint.save(tmp_path / "c.npz", model=model())
    saved = checkpoint.load(tmp_path / "c.npz")
    assert saved.optimizer == {}
    assert saved.meta == {}


def test_numpy_opens_it_without_this_package_and_without_pickle(tmp_path):
    checkpoint.save(tmp_path / "c.npz", model=model(), epoch=2)
    with np.load(tmp_path / "c.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["model/0.bias"], model().state["0.bias"])
        assert '"epoch": 2' in str(arrays["meta"])


def test_numpy_scalars_are_accepted_as_position(tmp_path):
    checkpoint.save(
        tmp_path / "c.npz", model=model(), epoch=np.int64(4), loss=np.float32(0.5), ok=np.bool_(True)
    )
    assert checkpoint.load(tmp_path / "c.npz").meta == {"epoch": 4, "loss": 0.5, "ok": True}


def test_position_that_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(
        TypeError, match=r"checkpoint\.save: the position cannot be written as JSON: .* is a set"
    ):
        checkpoint.save(tmp_path / "c.npz", model=model(), classes={1, 2})
    assert list(tmp_path.iterdir()) == []


# --- paths --------------------------------------------------------------------------------------------------
def test_the_path_is_used_exactly_as_given(tmp_path):
    checkpoint.save(tmp_path / "no_suffix", model=model())
    assert [p.name for p in tmp_path.iterdir()] == ["no_suffix"]


def test_strings_relative_paths_and_missing_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save("c.npz", model=model())
    checkpoint.save("a/b/c.npz", model=model(), epoch=1)
    assert checkpoint.load("a/b/c.npz").meta == {"epoch": 1}
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.npz")) == [
        os.path.join("a", "b", "c.npz"),
        "c.npz",
    ]


def test_a_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npz"
    try:
        link.symlink_to(tmp_path / "real" / "c.npz")
    except OSError:
        pytest.skip("no symbolic links here")
    checkpoint.save(link, model=model(), epoch=5)
    assert link.is_symlink()
    assert checkpoint.load(tmp_path / "real" / "c.npz").meta == {"epoch": 5}


# --- an interrupted or impossible save ----------------------------------------------------------------------
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("moment", ["numpy.savez", "os.fsync", "os.replace"])
def test_an_interrupted_save_leaves_the_old_checkpoint_and_no_litter(
    tmp_path, monkeypatch, moment, interruption
):
    path = tmp_path / "c.npz"
    checkpoint.save(path, model=model(), epoch=1)
    before = path.read_bytes()

    def interrupted(file, *args, **kwargs):
        if moment == "numpy.savez":
            file.write(b"PK half a file")
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(moment, interrupted)
        with pytest.raises(interruption):
            checkpoint.save(path, model=model(2), epoch=2)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_a_full_disk_is_one_clear_error_and_the_old_checkpoint_stays(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoint.save(path, model=model(), epoch=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"checkpoint\.save: cannot write .*c\.npz: No space left .* untouched"):
        checkpoint.save(path, model=model(2), epoch=2)
    assert checkpoint.load(path).meta == {"epoch": 1}
    with pytest.raises(OSError, match=r"No space left on device$"):  # nothing was there, nothing is promised
        checkpoint.save(tmp_path / "new.npz", model=model())


def test_a_folder_that_cannot_be_made_or_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"checkpoint\.save: cannot write .*c\.npz"):
        checkpoint.save(tmp_path / "file" / "c.npz", model=model())
    with pytest.raises(OSError, match=r"checkpoint\.save: cannot write"):
        checkpoint.save(tmp_path, model=model())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_a_permission_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"checkpoint\.save: cannot write .*: Permission denied"):
            checkpoint.save(tmp_path / "c.npz", model=model())
    finally:
        tmp_path.chmod(0o700)


# --- files that are not checkpoints, or no longer -----------------------------------------------------------
def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.load: there is no file .*nowhere\.npz"):
        checkpoint.load(tmp_path / "nowhere.npz")
    with pytest.raises(OSError, match=r"checkpoint\.load: cannot read"):
        checkpoint.load(tmp_path)


def test_every_truncation_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoint.save(path, model=model(), epoch=1)
    raw = path.read_bytes()
    for length in range(len(raw)):
        monkeypatch.setattr(
            Path, "read_bytes", lambda self, short=raw[:length]: short
        )  # quicker than writing it
        with pytest.raises(ValueError, match=r"checkpoint\.load: .*c\.npz is (damaged|not a checkpoint)"):
            checkpoint.load(path)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path, monkeypatch):
    path, state = tmp_path / "c.npz", {"a.weight": np.array([[1.5, -2.0]]), "counter": np.array(7)}
    checkpoint.save(path, model=Stateful(**state), epoch=1)
    raw = path.read_bytes()
    noticed = 0
    for position in range(len(raw)):
        flipped = raw[:position] + bytes([raw[position] ^ 0x41]) + raw[position + 1 :]
        monkeypatch.setattr(Path, "read_bytes", lambda self, flipped=flipped: flipped)
        try:
            saved = checkpoint.load(path)
        except ValueError as error:
            assert str(error).startswith("checkpoint.load: ")  # noqa: PT017 - both outcomes are allowed
            noticed += 1
        else:
            assert_same_state(saved.state, state)
            assert saved.meta == {"epoch": 1}
    assert noticed > len(raw) / 2  # the rest are time stamps and other fields that zip readers ignore


def test_a_lost_entry_is_noticed(tmp_path):
    checkpoint.save(tmp_path / "c.npz", model=model(), epoch=1)
    with np.load(tmp_path / "c.npz") as arrays:
        rest = {name: arrays[name] for name in arrays if name != "model/0.bias"}
    np.savez(tmp_path / "c.npz", **rest)
    with pytest.raises(ValueError, match=r"c\.npz is damaged: 4 arrays saved, 3 found"):
        checkpoint.load(tmp_path / "c.npz")


def test_an_entry_too_many_is_noticed(tmp_path):
    checkpoint.save(tmp_path / "c.npz", model=model(), epoch=1)
    with np.load(tmp_path / "c.npz") as arrays:
        more = {name: arrays[name] for name in arrays} | {"model/2.weight": np.ones(3)}
    np.savez(tmp_path / "c.npz", **more)
    with pytest.raises(ValueError, match=r"c\.npz is damaged: 4 arrays saved, 5 found"):
        checkpoint.load(tmp_path / "c.npz")


def test_hundreds_of_arrays(tmp_path):
    state = {f"{k}.weight": np.full(1, k) for k in range(300)}
    checkpoint.save(tmp_path / "c.npz", model=Stateful(**state))
    assert_same_state(checkpoint.load(tmp_path / "c.npz").state, state)


def entry(name, size, compressed=zipfile.ZIP_STORED):
    info = zipfile.ZipInfo(name)
    info.file_size, info.compress_type = size, compressed
    return info


@pytest.mark.parametrize(
    ("entries", "size", "reason"),
    [
        ([entry("a", 300), entry("b", 401)], 701, None),
        ([entry("a", 300), entry("b", 401)], 700, "more than the file has room for"),
        ([entry("a", 300), entry("a", 300)], 701, "more than the file has room for"),
        ([entry("a", 3), entry("a", 3), entry("b", 3)], 701, "more than the file has room for"),
        ([entry("a", 300), entry("b", 30, zipfile.ZIP_BZIP2)], 701, "an entry is compressed"),
    ],
)
def test_entries_that_would_swell_are_not_read(entries, size, reason):
    if reason is None:
        disk._check_sizes(entries, size, packed=False)
        return
    with pytest.raises(ValueError, match=reason):
        disk._check_sizes(entries, size, packed=False)


def test_a_file_with_compressed_entries_is_not_read(tmp_path):
    """Whatever they would become: ours have none."""
    np.savez_compressed(tmp_path / "c.npz", meta=np.array("{}"))
    with pytest.raises(ValueError, match=r"c\.npz is damaged .*: an entry is compressed$"):
        checkpoint.load(tmp_path / "c.npz")


def test_other_files_are_named_for_what_they_are(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is not a checkpoint: it does not begin like an \.npz file"):
        checkpoint.load(path)
    np.savez(path, weight=np.ones(3))
    with pytest.raises(ValueError, match="was not written by npdsconv: it has no entry 'meta'"):
        checkpoint.load(path)
    np.savez(path, meta=np.array('{"other": 1}'))
    with pytest.raises(ValueError, match="was not written by npdsconv"):
        checkpoint.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "hello")
    with pytest.raises(ValueError, match="is damaged or was cut short"):
        checkpoint.load(path)


def test_a_newer_format_asks_for_a_newer_package(tmp_path):
    meta = '{"npdsconv": 99, "arrays": 0, "position": {}}'
    np.savez(tmp_path / "c.npz", meta=np.array(meta))
    with pytest.raises(
        ValueError, match="has format 99, this version of npdsconv reads up to 1: install a newer"
    ):
        checkpoint.load(tmp_path / "c.npz")


def test_an_older_format_is_read(tmp_path):
    meta = '{"npdsconv": 0, "arrays": 1, "position": {"epoch": 3}}'
    np.savez(tmp_path / "c.npz", meta=np.array(meta), **{"model/w": np.ones(2)})
    saved = checkpoint.load(tmp_path / "c.npz")
    assert saved.meta == {"epoch": 3}
    assert_same_state(saved.state, {"w": np.ones(2)})


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_pickled_content_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    meta = '{"npdsconv": 1, "arrays": 1, "position": {}}'
    np.savez("bomb.npz", meta=np.array(meta), **{"model/w": np.array([Bomb()])})
    with pytest.raises(ValueError, match=r"checkpoint\.load: bomb\.npz is damaged .*pickle"):
        checkpoint.load("bomb.npz")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="is not a checkpoint"):
        checkpoint.load("plain.pkl")
    assert not (tmp_path / "exploded").exists()
