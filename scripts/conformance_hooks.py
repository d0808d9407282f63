"""Facts that schemathesis cannot know from the specifications. conformance.sh uses them."""

import itertools
import json
import os
import pathlib
import time
import urllib.request

import schemathesis


def call(path, body=None):
    """Asks the simulator as a client of either provider would."""
    headers = {"Authorization": "Bearer key", "Content-Type": "application/json", "User-Agent": "conformance"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(os.environ["SIMULATOR"] + path, data, headers)) as reply:
        return json.load(reply)


def until(done, path):
    """Asks about a task until it has ended, and returns the last reply."""
    for _ in range(600):
        reply = call(path)
        if done(reply):
            return reply
        time.sleep(0.1)
    raise TimeoutError(f"{path} does not end: {reply}")


def kie_task(path, body):
    return call(path, body)["data"]["taskId"]


def kie_video(task):
    record = until(lambda reply: reply["data"]["successFlag"] == 1, f"/api/v1/veo/record-info?taskId={task}")
    return record["data"]["response"]["resultUrls"][0]


def uniall_task():
    return call("/v1/video/generations", {"model": "veo3.1-fast-video-720p", "prompt": "A red kite"})["id"]


# A finished task of each kind, and one task of each provider that has only begun.
film = kie_task("/api/v1/veo/generate", {"prompt": "A red kite"})
link = kie_video(film)
extension = kie_task("/api/v1/veo/extend", {"taskId": film, "prompt": "It lands"})
kie_video(extension)
begun = kie_task("/api/v1/veo/generate", {"prompt": "A red kite"})
ended = uniall_task()
# A task of kie.ai's current form, whose fields for tasks have the same names as in the old form.
job = kie_task("/api/v1/jobs/createTask", {"model": "veo-3-1", "input": {"prompt": "A red kite"}})
until(lambda reply: reply["data"]["state"] == "success", f"/api/v1/jobs/recordInfo?taskId={job}")
until(lambda reply: reply["status"] == "completed", f"/v1/videos/{ended}")
KNOWN = {"taskId": [film, extension, begun, job], "task_id": [ended, uniall_task(), job], "url": [link]}
turns = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replaces every second made-up value by a known one, since made-up ones lead to refusals only."""
    body = case.body if isinstance(case.body, dict) else {}
    for place in (case.path_parameters, case.query, body, body.get("input")):
        for name, known in KNOWN.items():
            if isinstance(place, dict) and name in place:
                turn = next(turns)
                if turn % 2:
                    place[name] = known[turn // 2 % len(known)]


@schemathesis.check
def known_status(ctx, response, case):
    """Operations declare a `default` reply for any status. A known status is one that a reply in the fixtures has."""
    operation = case.operation.definition.raw["operationId"]
    fixtures = pathlib.Path(__file__).parent.parent / "tests/fixtures"
    # UniAll documents no errors, so the errors inferred from the software behind it count as known.
    folders = f"*/{operation}/documented", f"*/{operation}/observed", f"uniall/{operation}/inferred"
    replies = [reply for folder in folders for reply in fixtures.glob(f"{folder}/*.http")]
    known = {int(reply.read_bytes().split(maxsplit=2)[1]) for reply in replies}
    # schemathesis also tries other methods.
    if case.method != case.operation.method.upper():
        known = {404, 405}
    assert response.status_code in known, f"HTTP {response.status_code} is not among {sorted(known)}"


@schemathesis.check
def known_code_in_the_body(ctx, response, case):
    """Checks kie.ai's errors inside HTTP 200, which `not_a_server_error` does not see."""
    try:
        reply = response.json()
    except ValueError:
        return
    code = reply.get("code") if isinstance(reply, dict) else None
    if isinstance(code, int):
        known = case.operation.schema.raw_schema["components"]["schemas"]["Code"]["x-extensible-enum"]
        # kie.ai's current form refuses wrong fields of a task with code 500.
        is_of_fields = code == 500 and case.operation.definition.raw["operationId"] == "create_task"
        assert code in known and (code < 500 or is_of_fields), f"The body says {code}"
