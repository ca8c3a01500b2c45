#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/OPTIONS.md, ERRORS.md, STATES.md, STATISTICS.md and PRESETS.md from the tables in the library.

    PULSEWS_LIBRARY=dist/libpulsews.so.0 docs/generate.py           writes the pages
    PULSEWS_LIBRARY=dist/libpulsews.so.0 docs/generate.py --check   exits with 1 if they are not up to date
"""
import ctypes
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
MADE = "Made from the table in the library by `docs/generate.py`; "

# The order of the page. An option that stands nowhere is an error.
GROUPS = {
    "Presets": "preset",
    "Connection": "headers subprotocols open_timeout close_timeout max_message_size max_redirects",
    "Staying connected": "reconnect max_reconnect_attempts reconnect_base_delay reconnect_max_delay jitter stable_time "
                         "restart_delay retry_fatal fatal_close_codes",
    "Endpoints": "endpoints endpoint_return breaker_failures breaker_timeout host_connects host_connect_rate",
    "Heartbeats and staleness": "heartbeat_interval heartbeat_timeout heartbeat_message heartbeat_reply heartbeat_request "
                                "heartbeat_answer server_heartbeat server_heartbeat_timeout deliver_heartbeats "
                                "stale_timeout stale_action key_path stale_key_timeout",
    "Sequence numbers": "sequence_path sequence_previous sequence_key sequence_rule sequence_scope",
    "Replacing a connection, and two at a time": "max_age rotate_on rotation_overlap twin twin_wait",
    "Outbox and limits": "message_queue_size message_queue_bytes message_queue_policy message_ttl backlog_interval "
                         "rate_limit rate_limit_control journal journal_size",
    "Login and subscriptions": "login login_confirm login_reject login_reject_action login_timeout hold_login hold_connect "
                               "subscribe_message unsubscribe_message subscribe_batch subscribe_interval "
                               "subscribe_confirm subscribe_reject subscribe_reject_action subscribe_timeout",
    "The queue of received messages": "receive_queue_bytes receive_queue_policy",
    "Compression": "compression compression_threshold compression_context_takeover compression_window_bits",
    "TLS": "ca_file verify client_certificate client_key client_key_password pin_sha256 tls_min_version server_name "
           "tls_resumption",
    "Proxies": "proxy proxy_ca_file",
    "Other": "events name",
}

CHAPTERS = r"""The name is the key of `pulsews_config_set` in C and the keyword argument in Python; in Go it is the function `With...`
(`open_timeout` is `WithOpenTimeout`), and `WithOption(name, text)` takes the text of a configuration file. [PRESETS.md](PRESETS.md)
has sets of options for known exchanges, [RECIPES.md](RECIPES.md) for what trading programs need.

## Values

| type | text |
|---|---|
| duration | a number of seconds, or a number with `ns`, `us`, `ms`, `s`, `m`, `h` or `d`: `2.5`, `250ms`, `1m`. In Python a number, a `timedelta` or such a text, in Go a `time.Duration` |
| size | a number of bytes, or a number with `KB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (of 1024): `65536`, `64KiB` |
| integer, number | digits; a number may have up to three decimals |
| boolean | `true`, `yes`, `on`, `1`, or `false`, `no`, `off`, `0` |
| choice | one of the words |
| text | as it is; not empty |
| header, list | one value a call, which is added: C calls `pulsews_config_set` once for each; Python and Go take several at once |

A limit `COUNT/TIME` is a count of 1 to 100000 and a whole number of `ms`, `s`, `m`, `h` or `d`, up to a day: `100/60s`, `5/s`,
`300/5m`. It holds for every window of that length, wherever it begins; `rate_limit` begins anew with each connection.

## Patterns

A pattern tells messages of a kind from others, such as the answer to a heartbeat. It is at most 4096 bytes long, and has one of
three forms:

| pattern | matches |
|---|---|
| `{...}` or `[...]` | a JSON message that contains this piece: an object may have other members, in any order; for each element of an array in the pattern some element of the message's array matches. The string `"*"` stands for any value. Strings compare without their escapes, numbers by value: `1` is `1.0` |
| `error*` | with a `*` elsewhere: the whole message, where `*` stands for any bytes, also none |
| `pong` | other text: the whole message, byte for byte |

`{"op":"pong"}` matches `{"req_id":"1","op":"pong","args":[]}`, and `[{"T":"success"}]` matches
`[{"msg":"connected","T":"success"}]`. A message that is not valid JSON, or nested deeper than 64 levels, matches no JSON pattern.
A pattern itself is nested at most 16 levels deep, with at most 64 members or elements in one object or array. An option that
takes patterns may be given several: any of them may match.

### Answers

`login_confirm`, `login_reject`, `subscribe_confirm` and `subscribe_reject` count only while a login, or a message that subscribes,
waits for its answer; without `login_confirm` or `subscribe_confirm` that is for `login_timeout` or `subscribe_timeout`. Everything
else is data: a refused order, for one. The value `${id}` in a JSON pattern, with or without quotation marks, stands for the id of
what waits: the member of the same name in the message that was sent, by a template or as a text of your own. So an exchange that
repeats ids is never misunderstood, as long as your own requests have other ids than the templates' `${id}`, which begins with 1.
Where what was sent has no id, an answer without one fits. `"${key}"`, for subscriptions, stands for one of the keys that wait, on
exchanges that answer for each. With neither, the oldest is answered.

`{"error":"*","id":${id}}` is the refusal of a subscription on Binance, `{"success":false,"symbol":"${key}","req_id":${id}}` that of
one symbol on Kraken.

With `subscribe_reject_action` `drop` a key that the server rejects is subscribed no longer, is told by one event
`subscription_rejected`, and is asked for again when you do so. Of a rejected message with several keys both halves are sent again,
each by itself, until the bad key is found, at the pace of all subscriptions (`subscribe_interval`, `rate_limit`). That needs
`subscribe_confirm`, or patterns with `${id}` or `"${key}"`: with neither, and with several messages that wait, the connection is left
as with `reconnect`.

## Templates

Texts that PulseWS sends may have places to fill:

| place | becomes |
|---|---|
| `${id}` | 1, 2, 3 ...: a counter of the client's, over all its templates |
| `${ms}`, `${s}` | Unix time in milliseconds, in seconds |
| `${time}` | UTC as `2026-01-31T23:59:59.123Z` |
| `${keys}` | the keys of a subscription as JSON strings: `"a","b"`. Only in `subscribe_message` and `unsubscribe_message`, which need it |
| `${path}` | only in `heartbeat_answer`: the value there in the request, as it stands; a string with its quotation marks. `${params.type}`, `${args[0].id}`; `${.id}`, with a dot before it, is the request's own `id`. If it is not there no answer is sent |
| `${$}` | a dollar sign, for texts in which one stands before a brace |

A `$` elsewhere is itself. `{"op":"ping","req_id":"${id}"}` sends `{"op":"ping","req_id":"1"}`, then `"2"`.
"""


def rows(function, columns):
    """The lines of a table whose function fills one text a column; `columns` are names of ctypes."""
    fields = [getattr(ctypes, column)() for column in columns]
    function.argtypes = [ctypes.c_size_t] + [ctypes.POINTER(getattr(ctypes, column)) for column in columns]
    index = 0
    while function(index, *map(ctypes.byref, fields)) == 0:
        yield [field.value.decode() if isinstance(field.value, bytes) else field.value for field in fields]
        index += 1


def options(library):
    return rows(library.pulsews_option_at, ["c_char_p"] * 5)


def transitions(library):
    return rows(library.pulsews_transition_at, ["c_int32", "c_char_p", "c_int32", "c_char_p"])


def statistics(library):
    return rows(library.pulsews_statistic_at, ["c_char_p"] * 4)


def errors(library):
    library.pulsews_error_at.argtypes = [ctypes.c_size_t]
    for name in ("name", "text"):
        function = getattr(library, f"pulsews_error_{name}")
        function.argtypes, function.restype = [ctypes.c_int32], ctypes.c_char_p
    index = 0
    while code := library.pulsews_error_at(index):
        yield (code, library.pulsews_error_name(code).decode(), library.pulsews_error_text(code).decode(),
               "yes" if library.pulsews_error_retryable(code) else "no")
        index += 1


def metrics(library):
    """Statistic -> its name in the Prometheus text, which the library gives also without a client."""
    library.pulsews_prometheus.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.pulsews_prometheus.restype = ctypes.c_int64
    size = library.pulsews_prometheus(None, None, 0) + 1
    text = ctypes.create_string_buffer(size)
    library.pulsews_prometheus(None, text, size)
    names = re.findall(r"^# TYPE (\w+) \w+$", text.value.decode(), re.M)
    return dict(zip([row[0] for row in statistics(library)], names))


def states():
    """Number -> (name, meaning), from the header."""
    header = (HERE.parent / "include" / "pulsews.h").read_text()
    block = re.search(r"/\* States of a client\. \*/\s*enum \{(.*?)\};", header, re.S)[1]
    found = re.findall(r"PULSEWS_(\w+) = (\d+),?[ \t]*(?:/\*(.*?)\*/)?", block, re.S)
    return {int(number): (name.lower(), " ".join(meaning.split()) or "the connection is open")
            for name, number, meaning in found}


def table(heads, lines):
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
            *("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)]


def code(text):
    return f"`{text}`" if text else ""


def option_page(library):
    left = {row[0]: row for row in options(library)}
    lines = ["# Options", "", MADE + "`pulsews_option_at` gives the same to a program.", "", CHAPTERS]
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        lines += table(["option", "type", "default", "allowed", "meaning"], [
            [code(name), kind, code(default), allowed, meaning]
            for name, kind, default, allowed, meaning in map(left.pop, names.split())])
        lines.append("")
    if left:
        sys.exit(f"docs/generate.py: GROUPS has no place for {', '.join(left)}")
    return lines


def error_page(library):
    return [
        "# Status codes", "",
        MADE + "`pulsews_error_at` gives the same to a program. A code never changes its meaning. *Retryable*: trying "
        "again, with nothing else changed, can help; `pulsews_client_retryable`, `retryable` of an exception and `Retryable()` of an "
        "error also know the status of a refusal and the options. A reconnecting client does not retry after the others, nor after "
        "`PULSEWS_EHANDSHAKE` with status 401, 403 or 404, unless option `retry_fatal` says so.", "",
        *table(["code", "name", "meaning", "retryable"],
               [[number, code(name), text, retryable] for number, name, text, retryable in errors(library)])]


def state_page(library):
    names, every = states(), list(transitions(library))
    events = list(dict.fromkeys(event for _, event, _, _ in every))
    lines = [
        "# States", "",
        MADE + "`pulsews_transition_at` gives the same to a program. What is not in the table does nothing. With option "
        "`events` each transition is an event `state`; its key `trigger` is the event of this table: "
        "[EVENTS.md](EVENTS.md).", "",
        *table(["number", "state", "meaning"],
               [[number, code(name), meaning] for number, (name, meaning) in names.items()]),
        "",
        "*Ready* is more than `connected`: logged in, and the subscriptions sent, so that messages flow "
        "(`pulsews_wait_ready`, event `ready`).", "", "```mermaid", "stateDiagram-v2", "    [*] --> disconnected"]
    # One arrow for all events that lead from one state to another.
    arrows = {}
    for start, event, end, _ in every:
        arrows.setdefault((start, end), []).append(event)
    lines += [f"    {names[start][0]} --> {names[end][0]}: {', '.join(which)}"
              for (start, end), which in arrows.items()]
    lines += ["```", "", "The same as a table: the state on the left, the event above, the new state where they meet.", "",
              "```"]
    grid = [["", *events]]
    for number, (name, _) in names.items():
        leads = {event: names[end][0] for start, event, end, _ in every if start == number}
        grid.append([name, *(leads.get(event, ".") for event in events)])
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in grid]
    lines += ["```", ""]
    lines += table(["from", "event", "to", "when"], [
        [code(names[start][0]), code(event), code(names[end][0]), meaning] for start, event, end, meaning in every])
    return lines


def statistic_page(library):
    prometheus = metrics(library)
    lines = [
        "# Statistics", "",
        MADE + "`pulsews_statistic_at` gives the same to a program. The numbers are in `stats` of the status "
        "([STATUS.md](STATUS.md)), in `pulsews_statistics`, `ws.statistics()` (Python) and `c.Statistics()` (Go), and as "
        "Prometheus text, version 0.0.4, with the labels `client` (option `name`), `endpoint` and `id`: `pulsews_prometheus`, "
        "`pulsews.prometheus()`, `pulsews.Prometheus()` for all clients of the process.", "",
        "A *counter* begins at zero with the client and only grows, over all its connections; a *gauge* is the value of this "
        "moment. What is not known yet is `null` in JSON, NaN elsewhere. At every moment", "",
        "    messages_accepted = messages_sent + messages_dropped + messages_expired + messages_failed + queue_size",
        "    messages_received = messages taken + messages that wait + receive_dropped + receive_conflated", "",
        "where *messages taken* is what the program, or its binding, has received, events not counted.", ""]
    for kind, title in (("counter", "Counters"), ("gauge", "Gauges")):
        lines += [f"## {title}", "", *table(["statistic", "unit", "meaning", "Prometheus"], [
            [code(name), unit, meaning, code(prometheus[name])]
            for name, what, unit, meaning in statistics(library) if what == kind]), ""]
    return lines


def preset_page(library):
    kinds = {row[0]: row[1] for row in options(library)}
    lines = [
        "# Presets", "",
        MADE + "`pulsews_preset_at` gives the same to a program, `pulsews.presets()` in Python, `pulsews.Presets()` in Go.", "",
        "Option `preset` sets the options of a known feed: its heartbeats, limits, lifetime, keys and sequence numbers. Options "
        "that you set yourself win, whatever comes first; of an option that takes several values the first of your own takes "
        "the place of all of the preset's.", "",
        "| language | |", "|---|---|",
        '| C | `pulsews_config_set(config, "preset", "kraken", why, sizeof why);` |',
        '| Python | `pulsews.connect("wss://ws.kraken.com/v2", preset="kraken")` |',
        '| Go | `pulsews.Dial(ctx, "wss://ws.kraken.com/v2", pulsews.WithPreset("kraken"))` |', "",
        "The numbers are the exchanges' own of mid 2026, with some room below limits of a second; they change, and a library "
        "does not. `make exchanges` holds the presets against simulators that ban whoever breaks a rule.", "",
        "`stale_timeout` has to be longer than the longest silence that is normal for what you subscribe: a quiet market at "
        "night wants more than the presets have, or `0`.", ""]
    for name, text, settings in rows(library.pulsews_preset_at, ["c_char_p"] * 3):
        lines += [f"## {name}", "", text, "", "```ini"]
        for line in settings.splitlines():
            option, _, value = line.partition("=")
            assert option in kinds, option
            lines.append(f"{option} = {value}")
        lines += ["```", ""]
    return lines


def main():
    library = ctypes.CDLL(os.environ["PULSEWS_LIBRARY"])
    stale = []
    for name, make in (("OPTIONS.md", option_page), ("ERRORS.md", error_page), ("STATES.md", state_page),
                       ("STATISTICS.md", statistic_page), ("PRESETS.md", preset_page)):
        path, page = HERE / name, "\n".join(make(library)).rstrip("\n") + "\n"
        if path.exists() and path.read_text() == page:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(page)
    if "--check" in sys.argv and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run docs/generate.py")


if __name__ == "__main__":
    main()
