import pytest

from qvit_qiskit.files import atomic, write_text


def test_text_is_written_whole_as_utf8(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "θ = 1\n")
    write_text(path, "θ = 2\n")
    assert path.read_bytes() == "θ = 2\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_is_written(tmp_path):
    write_text(tmp_path / "note.txt", "")
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == 0o644


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path  # moving across file systems would not be atomic
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_error_leaves_the_folder_as_it_was(tmp_path, error, old):
    path = tmp_path / "note.txt"
    if old:
        path.write_text(old)

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "no" / "note.txt", "")
    assert list(tmp_path.iterdir()) == []
