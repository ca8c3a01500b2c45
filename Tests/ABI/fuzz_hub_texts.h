/* SPDX-License-Identifier: Apache-2.0
 *
 * For fuzz_hub.c: names, values and JSON that a hub knows, tokens and keys. */
#ifndef FUZZ_HUB_TEXTS_H
#define FUZZ_HUB_TEXTS_H

/* clang-format off */
static const char *const hub_names[] = {
    "name", "loops", "backlog", "max_connections", "header_timeout", "request_timeout", "keep_alive_timeout", "heartbeat",
    "heartbeat_timeout", "close_timeout", "max_message_size", "max_request_body", "compression", "compression_threshold",
    "compression_level", "queue_messages", "queue_bytes", "slow_policy", "publish_queue_bytes", "events",
    "event_queue_messages", "event_queue_bytes", "subscriptions_per_peer", "certificate", "certificate_key",
    "resume_window", "publish_token", "origin", "auth", "auth_timeout", "token_in_url", "token_audience", "token_issuer",
    "token_leeway", "address_connections", "address_connects", "address_failures", "peer_messages", "peer_bytes",
    "drain_spread", "explain_in_band", "server_header", "kind", "hartbeat", ""};
static const char *const route_names[] = {
    "kind", "folder", "max_message_size", "heartbeat_message", "topic", "url_topics", "welcome", "protocol",
    "subprotocol", "loops", ""};
static const char *const topic_names[] = {
    "subscribe", "history", "history_bytes", "history_age", "conflate", "latest", "max_keys", "flush", "stale_after",
    "binary", "kind", ""};
static const char *const values[] = {
    "", "0", "1", "2", "3", "9", "64", "65", "100", "1000000", "10000000", "-1", "1e-2", "1e999", "nan",
    "99999999999999999999", "0s", "1ms", "10ms", "20ms", "100ms", "1s", "1h", "1d", "365d", "1B", "16B", "256B", "4KiB",
    "64KiB", "1GiB", "1024GiB", "true", "false", "none", "optional", "required", "drop_oldest", "conflate", "disconnect",
    "stream", "static", "application", "any", "pulse", "plain", "anyone", "authenticated", "granted", "connected",
    "closed", "message", "subscribe", "unsubscribe", "http_request", "authorize", "slow", "topic_idle", "drained", "*",
    "http://h", "https://h:1", "null", "chat", "pulse.v1", "a b", "data.symbol", "s", "a..b", ".", "/nonexistent",
    "/dev/null", "price.SOL", "t", "\xff\xfe", "\r\nX: y", "secret"};
static const char *const topics[] = {
    "t", "price.SOL", "price.BTC", "binary.x", "latest.x", "flush.x", "slow.x", "a.b.c.d", "price.*", "**", "*", "",
    ".", "a..b", "x*", "**.x", "\xff", "t\n", "\xed\xa0\x80"};
static const char *const targets[] = {
    "/ws/stream", "/ws/stream?topics=t,price.SOL,latest.x", "/plain", "/ws/stream?topics=%00,%ff,binary.x,&topics=",
    "/ws/health", "/ws/status", "/ws/stats", "/metrics", "/ws/publish", "/app/", "/app/x?y=%zz", "/files/",
    "/files/../x", "/files/%2e%2e/%2fetc", "/files/fuzz_hub.input", "*", "/", "//", "/ws/strem", "http://h/ws/stream",
    "h:80", "/a\xff"};
static const char *const addresses[] = {
    "127.0.0.1:0", "ws://localhost:0/", "wss://127.0.0.1:0", "unix:fuzz_hub.socket", "[::1]:0", "*:0", ":0", "[]:0",
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "255.255.255.255:0", "host:80", "[:0", "]:0", "unix:", "wss://",
    "unix:/nonexistent/x", "127.0.0.1:-1", "\xff:0"};
static const char *const bodies[] = {
    "1", "\"x\"", "{}", "[]", "{\"type\":\"n\",\"n\":1}", "{\"type\":\"price\",\"data\":{\"symbol\":\"SOL\"},\"s\":\"k\"}",
    "{\"s\":1e400,\"data\":{\"symbol\":[]}}", "{\"type\":\"\\ud800\",\"s\":\"\\u0000\"}", "{\"s\":\"\",\"s\":2}", "{",
    "\xff", "", " ", "nul", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"topic\":\"t\",\"data\":1}", "{\"topic\":\"latest.x\",\"key\":\"a\",\"data\":{}}",
    "{\"topic\":\"binary.x\",\"data\":\"AA==\"}"};
static const char *const sayings[] = {
    "{\"type\":\"subscribe\",\"id\":1,\"topics\":[\"t\"]}",
    "{\"type\":\"subscribe\",\"topics\":[\"latest.x\",\"binary.x\",\"flush.x\",\"slow.x\"]}",
    "{\"type\":\"subscribe\",\"id\":\"a\",\"topics\":[{\"topic\":\"t\",\"history\":100000},{\"topic\":\"price.SOL\",\"history\":3}]}",
    "{\"type\":\"subscribe\",\"topics\":[{\"topic\":\"t\",\"since\":{\"epoch\":\"x\",\"offset\":18446744073709551615}}]}",
    "{\"type\":\"subscribe\",\"topics\":[{\"topic\":\"price.SOL\",\"since\":{\"epoch\":\"\",\"offset\":0}},\"\",\"t\",\"t\"]}",
    "{\"type\":\"subscribe\",\"topics\":[]}", "{\"type\":\"subscribe\",\"topics\":[{\"topic\":\"t\",\"history\":-1}]}",
    "{\"type\":\"unsubscribe\",\"id\":2,\"topics\":[\"t\",\"latest.x\",\"nope\"]}", "{\"type\":\"unsubscribe\"}",
    "{\"type\":\"ping\",\"id\":\"p\",\"data\":{\"sent\":1796010341079.5}}", "{\"type\":\"ping\",\"data\":{\"sent\":1e999}}",
    "{\"type\":\"auth\",\"data\":{\"token\":\"x\"}}", "{\"type\":\"auth\"}", "{\"type\":\"\\ud800\"}", "{\"type\":\"order\"}",
    "[]", "{", "\xff", ""};
static const char *const headers[] = {
    "Sec-WebSocket-Protocol: pulse.v1\r\n", "Sec-WebSocket-Protocol: chat, pulse.v1\r\n",
    "Sec-WebSocket-Protocol: pulse.v1, pulse.token.x\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8; client_max_window_bits, x\r\n",
    "Origin: http://h\r\n", "Origin: null\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
    "Content-Length: 99999999999999999999\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n",
    "Authorization: Bearer secret\r\n", "Authorization: Bearer\r\n", "Range: bytes=0-0,5-\r\n", "If-None-Match: *\r\n",
    "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "X: \xff\r\n", " folded\r\n", "Bad Name: x\r\n", "Host: two\r\n",
    "Access-Control-Request-Method: POST\r\n", "Sec-WebSocket-Version: 12\r\n"};
static const char *const methods[] = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "get", ""};
static const char *const answers[] = {
    "A: b\n", "A: b\nC: d\n", "Content-Length: 3\n", "Connection: close\n", "no colon\n", ": x\n", "A: \xff\n", "\n\n",
    "A: b\r\nC: d\r\n", "Transfer-Encoding: chunked\n", "Date: x\n"};
static const char *const algorithms[] = {"HS256", "RS256", "ES256", "EdDSA", "none", "hs256", "HS512", ""};
/* Of HS256 with the first key: for anybody, for some, expired, with numbers that no time is, and forged. */
static const char *const tokens[] = {
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6W"
    "yIqKiJdLCJwdWJsaXNoIjpbIioqIl19.Qt1XsnvW7CAiMf-Eh2oYVPNbvDXbIjehQRbHlHQj3nU",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6W"
    "yJwcmljZS4qIl0sImF1ZCI6WyJjaGF0Il0sImlzcyI6ImNoYXQifQ.fqR5g53qatZoLa6wFE-8XiZ-uXNumgWNDvur"
    "6kOBkTM",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjEwMDAwMDAwMDB9.ZzQcse7qeR9h"
    "YXKv3-Jqm_wC5erk-pl1_Bcusgkv2fU",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjFlMzAwfQ.5k9BE_OgYWxEE_lt6iVGwZWTkyQxO11Qbg"
    "c5rpg_R08",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjkyMjMzNzIwMzY4NTQ3NzU4MDcsIm5iZiI6LTkyMjMzN"
    "zIwMzY4NTQ3NzU4MDh9.aq_uWBbRfsLyyrSH3Fn_64Y0uSfkyaITY9pXWQdiu4Y",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjk5OTk5OTk5OTk5OTk5OTk5OTk5fQ.wZ7QtrzlKbJIi2"
    "NSL5uQcfMgVIN5cvu4UOtux78_Egg",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjkyMjMzNzIwMzYuNSwidG9waWNzIjpbMSxudWxsLCJhK"
    "iJdLCJwdWJsaXNoIjp7fX0.2PDRtVXAmx1ryydiTatOPNwmO2EXUoj3Uaf1a6r6HYQ",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJcdWQ4MDAiLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljc"
    "yI6WyJwcmljZS5TT0wiXX0.hrK_2TFuS3KSD94UDrRfCO14s4cTFYSn2CBisqOMJ0k",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiL_IiwiZXhwIjo0MTAyNDQ0ODAwfQ.IU5Ubvho45Batq"
    "iXXcVTL4YhejgbK1jyZF7P0C0fwVI",
    "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.UAv2VChVZlPhpmct5SfsjFAhWnCyskzqBUKvK7A-poA",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.W10.VGRXztd5nDmUv0OaqL68J1IF80ysMT-QUxPIYpTXyCc",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Im1haW4iLCJjcml0IjpbIngiXX0.eyJleHAiOjQxMDI0NDQ4MDB9.vYkp3DYim"
    "FikfMRjoM96AijxOmz0nMz5a4H1c53dyHw",
    "x",
    "a.b.c",
    ".."};

static const char *const keys[] = {
    "an example secret of 32 bytes ok",
    "short",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlVsfSKWT+kgb9o3nRU3"
    "R\nkVyXYZdbORv1M9fVZT1xid/iqsBMc4T6QRf0uH+kjq8PHHGF0sKNjqfZykoJcFd0\nqpMT84hqom1E4k9H3woBJxZ"
    "3wavYS1YEVJgR/s4/jOwr73jOzTBNCMnTUUx9PDm/\nV2z8s36HLKyCCeIG2fJhyzsullH0ulq/P2DRf7XpIZdTMgkX"
    "pyfhaGgZJ2aG/fXA\nrTKwGy4kLbFhz2YsgSxQF7ktifFqCst3n8o9eeRkRaNtOqyfwT/xU7GSHY3dcTiL\nftRrf9tw"
    "PQxLTQV5TwFl69Ekjsax9N2E1cisWCPYaBD/ILNxMPFiiww1Px4843fr\n4QIDAQAB\n-----END PUBLIC KEY-----"
    "\n",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUmmdYdaMtqAtf2fQNSVNHh6OyKK"
    "l\nWqttJb3tGmX9cTHkQVJ3ZQ8epmYxf+dyT2L0PTc4bT6F7BqhKGKM7uzD7w==\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAtGfTnpVRB7u/m5Y8+ldawYCe7fIdb1iyYWVWu9+tBAQ=\n--"
    "---END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEjK4wBxLf3NJ8TxIN7i3zHrbvByuUq7M"
    "Y\nb9PuxdaWXQOw8ZcIX19N06nQUl11xBxwpz3mxa2G8uDkDsjVfp+WhBJonGuLhudL\n56WwTr2DJbHvnyNnyJh0Jq8"
    "oSyqPPQjP\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"};
/* clang-format on */

#endif
