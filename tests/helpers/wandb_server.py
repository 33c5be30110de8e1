"""A server on this machine that answers what the wandb client asks, and keeps what it was sent.

It speaks the part of the protocol that `wandb sync`, online runs and `wandb-workspaces` use:
GraphQL requests by the name of their operation, the stream of a run's rows, and the upload of its
files.
"""

import gzip
import json
import re
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

KEY = "0123456789" * 4
"""An API key of the right form, which opens nothing."""

ENTITY = "lab"


class Backend:
    """What was sent, by the id of the run.

    Attributes:
        url: Where the server listens.
        asked: The names of the GraphQL operations, in order.
        failed: What went wrong here; a test should find nothing.
        runs: The newest settings of each run, as its upserts sent them.
        history: The rows of each run, decoded, in order.
        summary: The newest summary of each run.
        files: The contents of the files of each run, by name.
        views: The saved views, by name.
    """

    def __init__(self, url):
        self.url = url
        self.asked, self.failed = [], []
        self.runs, self.history, self.summary, self.files, self.views = {}, {}, {}, {}, {}
        self._lock = threading.Lock()

    def answer(self, query, given):
        """Return the data of a GraphQL request."""
        kind, name = re.search(r"\b(query|mutation)\s+(\w+)", query).groups()
        with self._lock:
            self.asked.append(name)
            if kind == "query" and not hasattr(self, f"_{name}"):
                # Clients ask about this and that, and do without an answer.
                return {}
            return getattr(self, f"_{name}")(given)

    def take(self, method, path, body):
        """Return the JSON that answers a request."""
        if path == "/graphql":
            request = json.loads(body)
            return {"data": self.answer(request["query"], request.get("variables") or {})}
        stream = re.search(r"/([^/]+)/file_stream$", path)
        if stream:
            self._stream(stream[1], json.loads(body))
        elif method == "PUT":
            _, _, _, run, name = unquote(path).split("/", 4)
            self.files.setdefault(run, {})[name] = body
        return {}

    def _stream(self, run, sent):
        for name, part in sent.get("files", {}).items():
            if name == "wandb-history.jsonl":
                known = self.history.setdefault(run, [])
                known[part["offset"] :] = [json.loads(line) for line in part["content"]]
            elif name == "wandb-summary.json":
                self.summary[run] = json.loads(part["content"][-1])

    def _ServerFeaturesQuery(self, given):
        return {"serverInfo": {"features": []}}

    def _Viewer(self, given):
        return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "teams": {"edges": []}}}

    def _GetDefaultEntity(self, given):
        return {"viewer": {"id": "1", "entity": ENTITY}}

    def _RunResumeStatus(self, given):
        name = given["name"]
        bucket = None
        if name in self.runs:
            rows = self.history.get(name, [])
            bucket = {
                "id": name,
                "name": name,
                "summaryMetrics": json.dumps(self.summary.get(name, {})),
                "displayName": name,
                "logLineCount": 0,
                "historyLineCount": len(rows),
                "eventsLineCount": 0,
                "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
                "eventsTail": "[]",
                "config": self.runs[name]["config"],
                "tags": self.runs[name]["tags"],
                "wandbConfig": "{}",
            }
        entity = {"id": "1", "name": ENTITY}
        return {"model": {"id": "1", "name": given["project"], "entity": entity, "bucket": bucket}}

    def _UpsertBucket(self, given):
        name = given["name"]
        known = self.runs.setdefault(name, {})
        inserted = not known
        known.update((key, value) for key, value in given.items() if value is not None)
        project = {"id": "1", "name": known["project"], "entity": {"id": "1", "name": ENTITY}}
        bucket = {
            "id": name,
            "name": name,
            "displayName": known.get("displayName") or name,
            "config": known.get("config", "{}"),
            "project": project,
            "historyLineCount": len(self.history.get(name, [])),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _CreateRunFiles(self, given):
        run = given["run"]
        files = [
            {"name": name, "uploadUrl": f"{self.url}/put/{ENTITY}/{run}/{quote(name)}"}
            for name in given["files"]
        ]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}

    def _Runs(self, given):
        group = json.loads(given.get("filters") or "{}").get("group")
        nodes = [
            {
                "id": name,
                "projectId": "1",
                "tags": known["tags"],
                "name": name,
                "displayName": name,
                "state": "finished",
                "config": known["config"],
                "group": known.get("groupName"),
                "jobType": known.get("jobType"),
                "summaryMetrics": json.dumps(self.summary.get(name, {})),
                "systemMetrics": "{}",
                "historyLineCount": len(self.history.get(name, [])),
            }
            for name, known in self.runs.items()
            if known["project"] == given["project"] and group in (None, known.get("groupName"))
        ]
        runs = {
            "edges": [{"node": node, "cursor": node["id"]} for node in nodes],
            "pageInfo": {"endCursor": None, "hasNextPage": False},
        }
        return {"project": {"internalId": "1", "runCount": len(nodes), "runs": runs}}

    def _UpsertView2(self, given):
        known = self.views.setdefault(given["name"], {"id": f"view-{len(self.views)}"})
        assert given.get("id", known["id"]) == known["id"], "another view has this name"
        known.update(displayName=given["displayName"], spec=given["spec"])
        return {"upsertView": {"view": {"id": known["id"], "name": given["name"]}}}

    def _View(self, given):
        found = [self.views[given["viewName"]]] if given["viewName"] in self.views else []
        return {"project": {"allViews": {"edges": [{"node": view} for view in found]}}}

    def _ArtifactType(self, given):
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, given):
        # As if the server had it already: its files are asked for no more.
        kept = {"id": "1", "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": kept}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            status, answer = 200, self.server.backend.take(self.command, self.path, body)
        except Exception as error:
            # Of all answers the one that is not tried again.
            self.server.backend.failed.append(error)
            status, answer = 400, {"error": repr(error)}
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _take  # noqa: N815

    def log_message(self, *words):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # The client drops its connections when it is done.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving():
    """Yield a backend that listens while the body runs."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.backend = Backend(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.backend
        finally:
            server.shutdown()
            thread.join()
