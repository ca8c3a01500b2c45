// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The options of feeds and of the way to them: journal, delivery, rotation, TLS, proxies, presets.
extension OptionTable {
  static func feedEntry(_ index: Int) -> OptionEntry? {
    let second: Int64 = 1_000_000_000
    let day = 86_400 * second
    switch index {
    case 59:
      return OptionEntry(
        key: .journal, name: "journal", kind: .text, defaultValue: "",
        range: "a path",
        meaning: "A file that keeps the outbox over a crash of the process: what was accepted and not sent is queued again, once and in order, when a client is made with it. One client at a time may use it.",
        minimum: 0, maximum: 0)
    case 60:
      return OptionEntry(
        key: .journalSize, name: "journal_size", kind: .size, defaultValue: "64MiB",
        range: "64KiB to 64GiB",
        meaning: "The size of a new journal, reserved on the disk at once; it holds the messages of the outbox with 64 bytes for each.",
        minimum: 65536, maximum: 64 << 30)
    case 61:
      return OptionEntry(
        key: .receiveQueuePolicy, name: "receive_queue_policy", kind: .choice, defaultValue: "pause",
        range: "pause, drop_oldest, conflate or disconnect",
        meaning: "What a full queue of received messages does (receive_queue_bytes): reading pauses, the oldest messages are dropped, only the latest message of each key_path is kept, or the connection is left until half of the queue is free.",
        minimum: 0, maximum: 3)
    case 62:
      return OptionEntry(
        key: .keyPath, name: "key_path", kind: .list, defaultValue: "",
        range: "a JSON path such as data.s or data[0].symbol; at most 4",
        meaning: "Where a message has its key, for receive_queue_policy=conflate and stale_key_timeout; with several paths the key is what all of them find.",
        minimum: 0, maximum: 0)
    case 63:
      return OptionEntry(
        key: .sequencePath, name: "sequence_path", kind: .text, defaultValue: "",
        range: "a JSON path such as data.u, or two for the first and the last number in a message, such as data.U,data.u",
        meaning: "Where a message has its sequence number: gaps, repeats and steps back are events, and the copies of a message that two connections bring are told by it.",
        minimum: 0, maximum: 512)
    case 64:
      return OptionEntry(
        key: .sequencePrevious, name: "sequence_previous", kind: .text, defaultValue: "",
        range: "a JSON path such as data.pu",
        meaning: "Where a message has the sequence number of the one before it, for feeds whose numbers are not consecutive.",
        minimum: 0, maximum: 256)
    case 65:
      return OptionEntry(
        key: .sequenceKey, name: "sequence_key", kind: .list, defaultValue: "",
        range: "a JSON path such as stream; at most 4",
        meaning: "Which messages are numbered together: those with the same value there; without it, all.",
        minimum: 0, maximum: 0)
    case 66:
      return OptionEntry(
        key: .sequenceRule, name: "sequence_rule", kind: .choice, defaultValue: "consecutive",
        range: "consecutive or increasing",
        meaning: "Whether each number follows the one before, or is only greater.",
        minimum: 0, maximum: 1)
    case 67:
      return OptionEntry(
        key: .sequenceScope, name: "sequence_scope", kind: .choice, defaultValue: "feed",
        range: "feed or connection",
        meaning: "Whether the numbers go on from one connection to the next, or begin anew with each.",
        minimum: 0, maximum: 1)
    case 68:
      return OptionEntry(
        key: .staleKeyTimeout, name: "stale_key_timeout", kind: .duration, defaultValue: "0",
        range: "0 (off), or 10ms to 1 day",
        meaning: "Without a message of a key_path for this long that key is stale: an event, and another when it comes again. Keys count from their first message; at most 100000.",
        minimum: 10000000, maximum: day)
    case 69:
      return OptionEntry(
        key: .maxAge, name: "max_age", kind: .duration, defaultValue: "0",
        range: "0 (off), or 100ms to 30 days",
        meaning: "The age at which a connection is replaced: a second one connects, logs in, subscribes and delivers before the first is closed. Shortened at random by up to 5 %.",
        minimum: 100000000, maximum: 30 * day)
    case 70:
      return OptionEntry(
        key: .rotateOn, name: "rotate_on", kind: .list, defaultValue: "",
        range: "a pattern",
        meaning: "Which message of the server announces its end: the connection is replaced at once. With it, or with max_age, close code 1012 leads to a new attempt without delay.",
        minimum: 0, maximum: 0)
    case 71:
      return OptionEntry(
        key: .rotationOverlap, name: "rotation_overlap", kind: .duration, defaultValue: "1s",
        range: "0 to 1h",
        meaning: "How long the old and the new connection deliver side by side when a connection is replaced.",
        minimum: 0, maximum: 3600 * second)
    case 72:
      return OptionEntry(
        key: .twin, name: "twin", kind: .text, defaultValue: "",
        range: "a URL, ws or wss as the client's",
        meaning: "A second endpoint with the same feed, used at the same time; of each sequence_path number the first copy counts.",
        minimum: 0, maximum: 0)
    case 73:
      return OptionEntry(
        key: .twinWait, name: "twin_wait", kind: .duration, defaultValue: "50ms",
        range: "0 to 1m",
        meaning: "How long a message that is ahead of its sequence waits for the other connection to bring those before it.",
        minimum: 0, maximum: 60 * second)
    case 74:
      return OptionEntry(
        key: .clientCertificate, name: "client_certificate", kind: .text, defaultValue: "",
        range: "a path",
        meaning: "A PEM file with the certificate that this side shows, and those between it and its root.",
        minimum: 0, maximum: 0)
    case 75:
      return OptionEntry(
        key: .clientKey, name: "client_key", kind: .text, defaultValue: "",
        range: "a path",
        meaning: "The PEM file with its private key; without it, the key is in client_certificate.",
        minimum: 0, maximum: 0)
    case 76:
      return OptionEntry(
        key: .clientKeyPassword, name: "client_key_password", kind: .text, defaultValue: "",
        range: "at most 1024 bytes",
        meaning: "What the private key is encrypted with.",
        minimum: 0, maximum: 1024)
    case 77:
      return OptionEntry(
        key: .pinSHA256, name: "pin_sha256", kind: .list, defaultValue: "",
        range: "the SHA-256 of a public key (SubjectPublicKeyInfo) in base64, 44 characters; sha256/ may precede; at most 16",
        meaning: "A key that the certificate of the server, or one above it, must have, besides being valid; any one of several.",
        minimum: 0, maximum: 0)
    case 78:
      return OptionEntry(
        key: .tlsMinVersion, name: "tls_min_version", kind: .choice, defaultValue: "1.2",
        range: "1.2 or 1.3",
        meaning: "The oldest version of TLS to accept.",
        minimum: 0, maximum: 1)
    case 79:
      return OptionEntry(
        key: .serverName, name: "server_name", kind: .text, defaultValue: "",
        range: "a host name",
        meaning: "The name to ask for (SNI) and to check the certificate against, in place of the host in the URL.",
        minimum: 0, maximum: 255)
    case 80:
      return OptionEntry(
        key: .tlsResumption, name: "tls_resumption", kind: .boolean, defaultValue: "true",
        range: "true or false",
        meaning: "Resumes TLS sessions on later connects, which saves a round trip or work.",
        minimum: 0, maximum: 0)
    case 81:
      return OptionEntry(
        key: .proxy, name: "proxy", kind: .text, defaultValue: "",
        range: "a URL with http, https, socks5 or socks5h, user and password allowed, or none",
        meaning: "The proxy to connect through. Not set: https_proxy or http_proxy by the scheme of the URL, then all_proxy, of the environment, but for the hosts of no_proxy; none: no proxy.",
        minimum: 0, maximum: 0)
    case 82:
      return OptionEntry(
        key: .proxyCAFile, name: "proxy_ca_file", kind: .text, defaultValue: "",
        range: "a path",
        meaning: "A PEM file with the certificate authorities to trust for a proxy with https, in place of the system's.",
        minimum: 0, maximum: 0)
    case 83:
      return OptionEntry(
        key: .maxRedirects, name: "max_redirects", kind: .integer, defaultValue: "5",
        range: "0 to 5",
        meaning: "How many redirects of the server one attempt follows; credentials go to the same origin only, and never from wss to ws.",
        minimum: 0, maximum: 5)
    case 84:
      return OptionEntry(
        key: .preset, name: "preset", kind: .text, defaultValue: "",
        range: "binance-spot, binance-spot-depth, binance-futures, binance-futures-depth, coinbase, kraken, bybit, okx, deribit or alpaca",
        meaning: "Options for a known feed: heartbeats, limits, lifetime, keys, sequence numbers. Options that are set win, whatever comes first.",
        minimum: 0, maximum: 0)
    case 85:
      return OptionEntry(
        key: .loginRejectAction, name: "login_reject_action", kind: .choice, defaultValue: "retry",
        range: "retry or stop",
        meaning: "What a rejected login leads to: further attempts, or none (state error), since the key is not accepted any more.",
        minimum: 0, maximum: 1)
    case 86:
      return OptionEntry(
        key: .subscribeRejectAction, name: "subscribe_reject_action", kind: .choice, defaultValue: "drop",
        range: "drop or reconnect",
        meaning: "What a rejected subscription leads to: the key is dropped (event subscription_rejected) and the rest goes on, or the connection is left and made anew.",
        minimum: 0, maximum: 1)
    case 87:
      return OptionEntry(
        key: .fatalCloseCodes, name: "fatal_close_codes", kind: .list, defaultValue: "",
        range: "a close code, 1000 to 4999",
        meaning: "Close codes of the server after which the client does not try again: state error.",
        minimum: 1000, maximum: 4999)
    default:
      return nil
    }
  }
}
