"""The server of the page: what it serves, with which headers, and what it says when something is missing."""

import http.client
import json
import shutil
import socket
import subprocess
import sys

import pytest

from files import is_partial

from .browser import WEB, serving

ROOT = WEB.parents[1]

WANTED = {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp',
          'X-Content-Type-Options': 'nosniff'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A page with every kind of file, and files that are nobody's business."""
    folder = tmp_path_factory.mktemp('web')
    for name in ('index.html', 'style.css', 'icon.svg', 'js'):
        (folder / name).symlink_to(WEB / name)
    for name in ('vendor/ort.mjs', 'vendor/ort.wasm', 'model/model.onnx', 'model/model.json', 'node_modules/a.js',
                 'secret.json', 'model/weights.pth'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'x')
    (folder.parent / 'outside.js').write_text('x')
    (folder / 'vendor' / 'link.mjs').symlink_to(folder.parent / 'outside.js')
    (folder / 'model' / 'secret.json').symlink_to('../secret.json')
    (folder / 'vendor' / 'inside.mjs').symlink_to('ort.mjs')
    return folder


@pytest.fixture(scope='module')
def host(folder):
    with serving(folder) as url:
        yield url.removeprefix('http://').rstrip('/')


def get(host: str, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest('GET', path, skip_host=False)        # as it is: clients tidy paths up
    connection.endheaders()
    response = connection.getresponse()
    response.content = response.read()
    connection.close()
    return response


@pytest.mark.parametrize('path, kind', [
    ('/', 'text/html; charset=utf-8'), ('/index.html?engine=wasm', 'text/html; charset=utf-8'),
    ('/style.css', 'text/css; charset=utf-8'), ('/icon.svg', 'image/svg+xml'),
    ('/js/worker.js', 'text/javascript; charset=utf-8'), ('/vendor/ort.mjs', 'text/javascript; charset=utf-8'),
    ('/vendor/ort.wasm', 'application/wasm'), ('/model/model.onnx', 'application/octet-stream'),
    ('/model/model.json', 'application/json')])
def test_files_and_types(host, path, kind):
    response = get(host, path)
    assert response.status == 200 and response.content
    assert response.getheader('Content-Type') == kind
    assert {name: response.getheader(name) for name in WANTED} == WANTED
    assert int(response.getheader('Content-Length')) == len(response.content)


@pytest.mark.parametrize('path', ['/secret.json', '/node_modules/a.js', '/model/', '/js/', '/model/weights.pth',
                                  '/js/../secret.json', '/js/%2e%2e/secret.json', '/../outside.js',
                                  '/js/../../outside.js', '//secret.json', '/nothing.js',
                                  '/vendor/link.mjs', '/model/secret.json', '/js/%00.js', '/js/x%00/../a.js'])
def test_nothing_else_is_served(host, path):
    response = get(host, path)
    assert response.status in (301, 404)
    assert response.content != b'x'
    assert response.getheader('Cross-Origin-Embedder-Policy') == 'require-corp'


def test_links_inside_the_page_are_served(host):
    assert get(host, '/vendor/inside.mjs').content == b'x'


@pytest.mark.parametrize('name', ['evil.example', 'evil.example:{port}', '127.0.0.1', 'localhost:1', '', None])
def test_a_foreign_page_is_not_answered(host, name):
    """DNS rebinding: the attacker's name leads to this machine, and the browser sends that name."""
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest('GET', '/index.html', skip_host=True)
    if name is not None:
        connection.putheader('Host', name.format(port=host.rpartition(':')[2]))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 421 and b'<script' not in response.read()
    connection.close()


def test_localhost_is_this_machine(host):
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest('GET', '/index.html', skip_host=True)
    connection.putheader('Host', f'localhost:{host.rpartition(":")[2]}')
    connection.endheaders()
    assert connection.getresponse().status == 200
    connection.close()


def test_a_silent_connection_is_closed(folder, monkeypatch):
    import serve
    monkeypatch.setattr(serve.Handler, 'timeout', 0.2)
    with serving(folder) as url, socket.create_connection(url.removeprefix('http://').rstrip('/').split(':')) as line:
        line.settimeout(10)
        assert line.recv(1) == b''


def test_page_may_not_load_from_elsewhere(host):
    policy = get(host, '/').getheader('Content-Security-Policy')
    assert "default-src 'self'" in policy and 'http' not in policy and "'unsafe-eval'" not in policy
    for path in [*WEB.glob('*.html'), *WEB.glob('*.css'), *WEB.glob('js/*.js')]:
        assert 'http://' not in path.read_text().replace('http://www.w3.org/2000/svg', '')
        assert 'https://' not in path.read_text(), path


def serve(*arguments: str, web=WEB) -> subprocess.CompletedProcess:
    command = [sys.executable, str(web / 'serve.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def bare(tmp_path):
    """A clone in which nothing was set up."""
    web = tmp_path / 'demo' / 'web'
    web.mkdir(parents=True)
    for name in ('serve.py', 'setup_runtime.py', 'package.json', 'package-lock.json'):
        (web / name).write_bytes((WEB / name).read_bytes())
    shutil.copytree(ROOT / 'files', tmp_path / 'files')
    return web


def assert_error(done: subprocess.CompletedProcess, message: str) -> None:
    assert done.returncode == 2
    assert done.stderr.startswith('error: ') and len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_missing_runtime(bare):
    assert_error(serve(web=bare), 'run "python demo/web/serve.py --setup" once')


def test_setup_without_npm(bare, monkeypatch):
    monkeypatch.setenv('PATH', '/nonexistent')
    assert_error(serve('--setup', web=bare), 'npm is not installed')


def test_setup_that_fails_leaves_nothing(bare, tmp_path, monkeypatch):
    npm = tmp_path / 'npm'
    npm.write_text('#!/bin/sh\necho "network is down" >&2\nexit 1\n')
    npm.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/bin:/usr/bin')
    before = sorted(bare.iterdir())
    assert_error(serve('--setup', web=bare), 'npm ci failed: network is down')
    assert sorted(path for path in bare.iterdir() if path.name != '__pycache__') == before


def test_setup_keeps_what_the_page_needs(bare, tmp_path, monkeypatch):
    """With an npm that installs a package of the right shape; a second setup replaces the first."""
    from setup_runtime import RUNTIME_FILES
    npm = tmp_path / 'npm'
    npm.write_text('#!/bin/sh\nmkdir -p node_modules/onnxruntime-web/dist && cd node_modules/onnxruntime-web/dist\n'
                   f'for name in {" ".join(RUNTIME_FILES)} other.map; do echo $name > $name; done\n')
    npm.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/bin:/usr/bin')
    (bare / 'vendor').mkdir()
    (bare / 'vendor' / 'old.mjs').touch()
    done = serve('--setup', web=bare)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (bare / 'vendor').iterdir()) == sorted(RUNTIME_FILES)
    assert not any(map(is_partial, bare.iterdir())) and not (bare / 'node_modules').exists()


def test_locked_version_is_what_package_json_asks_for():
    wanted = json.loads((WEB / 'package.json').read_text())['dependencies']['onnxruntime-web']
    locked = json.loads((WEB / 'package-lock.json').read_text())['packages']
    assert locked['']['dependencies']['onnxruntime-web'] == wanted and wanted.startswith('^1.')
    assert locked['node_modules/onnxruntime-web']['integrity'].startswith('sha512-')


def test_ports():
    from serve import start_server
    with pytest.raises(ValueError, match='--port must be 0 to 65535, got 70000'):
        start_server(70000)
    with socket.create_server(('127.0.0.1', 0)) as taken:
        with pytest.raises(ValueError, match='cannot be used .*name another, or 0 for a free one'):
            start_server(taken.getsockname()[1])


def test_only_this_machine_is_served(host):
    assert host.startswith('127.0.0.1:')
