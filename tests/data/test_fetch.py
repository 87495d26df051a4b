"""Where MNIST comes from: named folder, variable, cache, mirrors. No test leaves this machine."""

import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest

from npdsconv.data import fetch, idx, load

NAMES = tuple(fetch.MNIST)
rng = np.random.default_rng(11)
RAW = {
    name: idx.encode(
        rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        if "images" in name
        else rng.integers(0, 10, n).astype(np.uint8)
    )
    for name, n in zip(NAMES, (6, 6, 3, 3), strict=True)
}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch, tmp_path):
    """Four small files stand for MNIST, an empty folder for the cache, and every mirror is out of reach."""
    monkeypatch.setattr(fetch, "MNIST", {n: hashlib.sha256(raw).hexdigest() for n, raw in RAW.items()})
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    serve(monkeypatch, lambda url: None)


def serve(monkeypatch, answer):
    """Let `answer(url)` give the bytes of a download, or None where there is no connection; return the log."""
    asked = []

    def download(url, path):
        asked.append(url)
        content = answer(url)
        if content is None:
            raise ConnectionError("no route to host")
        path.write_bytes(content)

    monkeypatch.setattr(fetch, "_download", download)
    return asked


def fill(folder, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in RAW.items():
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    return folder


def good(url):
    return gzip.compress(RAW[url.rsplit("/")[-1].removesuffix(".gz")], mtime=0)


def assert_is_mnist(dataset):
    assert dataset.name == "mnist"
    for split, half in ((dataset.train, "train"), (dataset.test, "t10k")):
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        images = idx.decode(RAW[f"{half}-images-idx3-ubyte"], "")
        np.testing.assert_array_equal(split.images, images[:, None])
        np.testing.assert_array_equal(split.labels, idx.decode(RAW[f"{half}-labels-idx1-ubyte"], ""))


def test_the_table_has_the_four_files():
    assert NAMES == (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_a_named_folder_plain_or_compressed(tmp_path, suffix):
    assert_is_mnist(load("mnist", fill(tmp_path / "d", suffix)))


def test_the_variable_names_a_folder_and_the_argument_wins(tmp_path, monkeypatch):
    monkeypatch.setenv(fetch.VARIABLE, str(fill(tmp_path / "d")))
    assert_is_mnist(load("mnist"))
    with pytest.raises(FileNotFoundError, match=r"load: no folder .*elsewhere"):
        load("mnist", tmp_path / "elsewhere")


def test_an_empty_variable_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(fetch.VARIABLE, "")
    fill(tmp_path / "cache" / "mnist")
    assert_is_mnist(load("mnist"))


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_named_folder_is_never_completed_from_the_network(tmp_path, monkeypatch, how):
    asked = serve(monkeypatch, good)
    folder = fill(tmp_path / "d")
    (folder / f"{NAMES[2]}.gz").unlink()
    if how == "variable":
        monkeypatch.setenv(fetch.VARIABLE, str(folder))
    with pytest.raises(FileNotFoundError, match=rf"load: .*d has neither {NAMES[2]} nor {NAMES[2]}\.gz"):
        load("mnist", folder if how == "argument" else None)
    assert asked == []


def test_a_damaged_file_in_a_named_folder(tmp_path):
    folder = fill(tmp_path / "d", "")
    (folder / NAMES[1]).write_bytes(RAW[NAMES[1]][:-1] + b"\x63")
    expected = fetch.MNIST[NAMES[1]]
    said = r"well-formed, but not MNIST: uint8 6, .*\(sha256 \w+"
    message = rf"load: .*{NAMES[1]} is damaged or wrong: {said}, expected {expected}"
    with pytest.raises(ValueError, match=message):
        load("mnist", folder)
    (folder / NAMES[1]).write_bytes(gzip.compress(RAW[NAMES[1]])[:-3])
    with pytest.raises(ValueError, match=rf"{NAMES[1]}: damaged gzip file of \d+ bytes"):
        load("mnist", folder)


def test_files_are_fetched_once_and_kept(tmp_path, monkeypatch):
    asked = serve(monkeypatch, good)
    assert_is_mnist(load("mnist"))
    assert asked == [f"{fetch.MIRRORS[0]}{name}.gz" for name in NAMES]
    assert_is_mnist(load("mnist"))
    assert len(asked) == 4
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(
        f"{n}.gz" for n in NAMES
    )


def test_only_what_is_missing_or_damaged_is_fetched_again(tmp_path, monkeypatch):
    cache = fill(tmp_path / "cache" / "mnist")
    (cache / NAMES[0]).write_bytes(b"a damaged plain file would hide a good .gz")
    (cache / f"{NAMES[3]}.gz").unlink()
    asked = serve(monkeypatch, good)
    assert_is_mnist(load("mnist"))
    assert [url.rsplit("/")[-1] for url in asked] == [f"{NAMES[0]}.gz", f"{NAMES[3]}.gz"]
    assert not (cache / NAMES[0]).exists()


@pytest.mark.parametrize(
    "bad", [b"<html>not found</html>", gzip.compress(b"other", mtime=0), None, good("/" + NAMES[1])[:9]]
)
def test_the_next_mirror_is_tried(tmp_path, monkeypatch, bad):
    asked = serve(monkeypatch, lambda url: bad if url.startswith(fetch.MIRRORS[0]) else good(url))
    assert_is_mnist(load("mnist"))
    assert len(asked) == 8


@pytest.mark.parametrize("bad", [b"<html>not found</html>", gzip.compress(b"other", mtime=0), None])
def test_nothing_wrong_is_left_in_the_cache_and_the_error_says_what_to_do(tmp_path, monkeypatch, bad):
    serve(monkeypatch, lambda url: bad)
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist")
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []
    message = str(caught.value)
    wanted = [f"{n}.gz" for n in NAMES] + list(fetch.MIRRORS)
    for part in [
        *wanted,
        str(tmp_path / "cache" / "mnist"),
        "NPDSCONV_DATA_DIR",
        "data_dir",
        "load('mnist5k')",
    ]:
        assert part in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(FileNotFoundError, match=r"could not be fetched\. Put .* NPDSCONV_DATA_DIR"):
        load("mnist")


def test_the_cache_has_a_folder_of_its_own(monkeypatch):
    monkeypatch.undo()
    folder = fetch.cache_folder()
    assert folder.name == "mnist"
    assert "npdsconv" in folder.parts


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers as the path says: well, with an error, or as no server should."""

    def do_GET(self):
        kind = self.path.strip("/").partition("/")[0]
        if kind in ("gone", "failing", "elsewhere"):
            self.send_response({"gone": 404, "failing": 503, "elsewhere": 302}[kind])
            self.send_header("Location", self.path)
            self.end_headers()
            return
        if kind == "garbage":
            self.wfile.write(b"\x00\xff no HTTP at all\r\n" * 9)
            return
        if kind == "silent":
            self.server.ended.wait(30)
            return
        content = b"content" * 100
        self.send_response(200)
        if kind in ("short", "stalls", "there"):
            self.send_header("Content-Length", str(len(content) * (1 if kind == "there" else 9)))
        if kind == "lying":
            self.send_header("Content-Length", "lots")
        self.end_headers()
        try:
            self.wfile.write(content)
            if kind == "stalls":
                self.server.ended.wait(30)
            while kind in ("endless", "trickle") and not self.server.ended.wait(
                0.02 if kind == "trickle" else 0
            ):
                self.wfile.write(content if kind == "endless" else b"c")
        except ConnectionError:
            pass  # the reader has had enough

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    """A server on this machine, and limits that are reached soon."""
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "_TIMEOUT", 0.5)
    monkeypatch.setattr(fetch, "_WHOLE", 1.0)
    monkeypatch.setattr(fetch, "_LARGEST", 100_000)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads, server.ended = True, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.ended.set()
        server.shutdown()


def test_a_real_download_over_http(tmp_path, mirror):
    fetch._download(f"{mirror}/there", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"content" * 100


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("gone", "404"),
        ("failing", "503"),
        ("elsewhere", "infinite loop"),
        ("garbage", "does not speak HTTP"),
        ("silent", "timed out"),
        ("short", "ended 5,600 bytes too early"),
        ("stalls", "timed out"),
        ("endless", "more than 100,000 bytes"),
        ("trickle", "not done after 1 seconds"),
    ],
)
def test_a_mirror_that_fails_lies_or_stalls_is_one_error(tmp_path, mirror, kind, message):
    with pytest.raises(OSError, match=message):
        fetch._download(f"{mirror}/{kind}", tmp_path / "a")
    assert not (tmp_path / "a").exists() or (tmp_path / "a").stat().st_size < 300_000


def test_a_length_that_is_no_number_does_not_matter(tmp_path, mirror):
    fetch._download(f"{mirror}/lying", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"content" * 100


def test_nobody_listens(tmp_path, mirror, monkeypatch):
    with pytest.raises(OSError, match="refused"):
        fetch._download("http://127.0.0.1:9/", tmp_path / "a")


def test_mirrors_that_all_do_wrong_end_in_one_error_and_leave_nothing(tmp_path, mirror, monkeypatch):
    """What was sent is kept nowhere, whatever it was; the error names every mirror."""
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    mirrors = tuple(f"{mirror}/{kind}/" for kind in ("gone", "garbage", "short", "there"))
    monkeypatch.setattr(fetch, "MIRRORS", mirrors)
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist")
    assert all(url in str(caught.value) for url in mirrors)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []
