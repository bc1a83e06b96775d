# SPDX-License-Identifier: Apache-2.0
"""As much of a cluster's API as helm needs to look objects up while it renders."""

import http.server
import json
import threading

_RESOURCES = [
    {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
    for name, kind in (("configmaps", "ConfigMap"), ("secrets", "Secret"))]

_ANSWERS = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": _RESOURCES},
}


class FakeCluster:
    """Holds objects by their path, such as /api/v1/namespaces/models/secrets/key; `asked` is what was looked up."""

    def __init__(self):
        self.objects = {}
        self.asked = []
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.split("?")[0]
                found = _ANSWERS.get(path, cluster.objects.get(path))
                if path not in _ANSWERS:
                    cluster.asked.append(path)
                body = found or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                                 "message": f"{path} not found", "code": 404}
                data = json.dumps(body).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.arguments = ["--dry-run=server", "--kube-apiserver", f"http://127.0.0.1:{self._server.server_port}"]

    def add(self, namespace, kind, name, **members):
        path = f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}"
        metadata = {"name": name, "namespace": namespace}
        self.objects[path] = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **members}

    def close(self):
        self._server.shutdown()
        self._server.server_close()
