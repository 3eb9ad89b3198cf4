"""P4: a finished request, read through the windows."""

from statistics import median

from benchmarks import http_load, stack, waybill
from benchmarks.figures import Figure
from benchmarks.stack import Running
from config.embedded import parts as stack_parts

_NATIVE = {"Accept": "application/vnd.hmrc.1.0+json"}
_TASK = "/native-app/CS700100A"


def finished_requests(running: Running, *, short: bool) -> list[Figure]:
    """P4: request status and poll, in turn with a bare Django view that reads one row by key on the same server."""
    rounds, seconds = (1, 0.3) if short else (9, 1.5)
    request_id, cookie = _finished_request(running), _finished_task(running)
    port = stack.free_port()
    environment = running.environment | {"DJANGO_SETTINGS_MODULE": "benchmarks.bare.settings", "WAYBILL_ROLE": "web"}
    with stack.beside(*stack_parts.WEB, "--host", "127.0.0.1", "--port", str(port), environment=environment):
        stack.wait_until_open(port)
        reads = {
            "bare view": (f"http://127.0.0.1:{port}", http_load.call("GET", f"/{request_id}")),
            "request status": (running.url, _get(f"/api/v3/global/call/{request_id}", waybill.headers())),
            "poll": (running.url, _get(f"{_TASK}/poll", _NATIVE | {"Cookie": cookie})),
        }
        rates: dict[str, list[float]] = {name: [] for name in reads}
        for _ in range(rounds + 1):
            for name, (url, call) in reads.items():
                rates[name].append(http_load.repeat(url, [call], seconds=seconds, connections=8) / seconds)
    bare = median(rates["bare view"][1:])  # the first round warms up
    return [
        Figure(
            "P4", name, median(found[1:]), "calls/s", median(found[1:]) / bare, "" if name == "bare view" else "≥ 0.7"
        )
        for name, found in rates.items()
    ]


def _get(path: str, headers: dict[str, str]) -> bytes:
    return http_load.call("GET", path, headers=headers)


def _finished_request(running: Running) -> str:
    """Hand one message in, and return its request's id once it is finished."""
    answer = waybill.call(running, "POST", "/api/v1/requests", waybill.submission(1))
    waybill.wait_until_finished(running)
    return str(answer["data"]["id"])


def _finished_task(running: Running) -> str:
    """Start a task, and return its cookie once it is finished."""
    body = {"request": [{"serviceName": "Echo"}]}
    call = http_load.call("POST", f"{_TASK}/startup", headers=waybill.headers() | _NATIVE, body=body)
    answer = http_load.once(running.url, call)
    waybill.wait_until_finished(running)
    return answer.header("set-cookie").split(";")[0].strip()
