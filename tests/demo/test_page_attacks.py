"""What a visitor, or a foreign page in a visitor's browser, must not be able to do with the Gradio page."""

import http.client
import types

import pytest

gr = pytest.importorskip('gradio', reason='needs gradio: pip install -r requirements/gradio.txt')

from demo.page import Page, name_of, only_hosts  # noqa: E402
from demo.page_job import Engine  # noqa: E402


@pytest.mark.parametrize('hash_sent', ['../victim', '/etc', '..', '.', '', 'a/../../victim', None, 'x' * 5000, 'a\0b'])
def test_the_session_name_of_a_browser_is_no_path(hash_sent):
    name = name_of(types.SimpleNamespace(session_hash=hash_sent))
    assert len(name) == 32 and name.isalnum()


def test_no_folder_is_deleted(tmp_path, monkeypatch):
    """`session_hash` comes from the client: as a path it named any folder to be removed."""
    victim = tmp_path / 'victim'
    victim.mkdir()
    (victim / 'photo.jpg').write_text('mine')
    (tmp_path / 'page').mkdir()
    import torch
    page = Page(Engine(torch.device('cpu'), torch.float32), [('default', 'default')], tmp_path / 'page')
    for sent in ('../victim', str(victim)):
        with pytest.raises(gr.Error):
            page.run(None, 'default', 'portrait', 0.25, 'transparent', '#ffffff', None, 3, 'none',
                     types.SimpleNamespace(session_hash=sent), lambda *args, **kwargs: None)
    assert (victim / 'photo.jpg').read_text() == 'mine'
    assert all(len(path.name) == 32 for path in (tmp_path / 'page').iterdir())


def test_foreign_names_are_not_answered():
    from tests.demo.test_app import free_port
    port = free_port()
    with gr.Blocks() as blocks:
        gr.Markdown('hello')
    blocks.launch(server_name='127.0.0.1', server_port=port, share=False, quiet=True, prevent_thread_lock=True,
                  ssr_mode=False, app_kwargs=only_hosts('127.0.0.1'))
    try:
        for host, status in (('evil.example', 400), (f'evil.example:{port}', 400), ('', 400),
                             (f'127.0.0.1:{port}', 200), (f'localhost:{port}', 200)):
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
            connection.putrequest('GET', '/config', skip_host=True)
            connection.putheader('Host', host)
            connection.endheaders()
            assert connection.getresponse().status == status, host
            connection.close()
    finally:
        blocks.close(verbose=False)


def test_all_interfaces_answer_to_names_of_this_machine():
    hosts = only_hosts('0.0.0.0')['middleware'][0].kwargs['allowed_hosts']
    assert '*' not in hosts and 'localhost' in hosts and '127.0.0.1' in hosts
