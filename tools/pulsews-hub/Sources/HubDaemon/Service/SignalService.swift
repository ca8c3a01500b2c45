// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Logging
import Synchronization

/// Answers the hub's events: webhooks become signals, and what services say becomes messages of topics.
final class SignalService: Sendable {
  /// Of so many signals it is known where their status goes.
  private static let mostSignals = 10_000

  private struct State {
    var webhooks: [String: WebhookConfig] = [:]
    var taken: [String: Dedupe] = [:]
    var portfolio: PortfolioConfig?
    var peers = PeerBook()
    /// The topic for the status of each signal, and the signals in order.
    var statusTopics: [String: String] = [:]
    var signals: [String] = []
    var count: UInt64 = 0
  }

  private let hub: LibraryHub
  private let log: Logger
  private let state = Mutex(State())
  private let audit: AuditLog
  /// Tells the signals of this process from those of another.
  private let life: String

  init(_ hub: LibraryHub, _ log: Logger) {
    self.hub = hub
    self.log = log
    audit = AuditLog { news in
      switch news {
      case .failed(let problem): log.error("\(problem); signals go on, and the lines that are lost are counted")
      case .worksAgain(let lost): log.warning("the audit file is written again", metadata: ["lost": "\(lost)"])
      }
    }
    life = String(UInt64.random(in: 0 ... .max), radix: 36)
  }

  /// nil, or why the audit file can't be used.
  func begin(_ config: Config) -> String? {
    var audit = config.audit.map { Audit($0) }
    if let problem = audit?.open() { return problem }
    return take(config, audit)
  }

  /// Another configuration, with its audit file open. nil, or why no audit file will be written.
  func take(_ config: Config, _ audit: Audit?) -> String? {
    state.withLock { state in
      state.portfolio = config.portfolio
      state.webhooks = Dictionary(config.webhooks.map { ($0.value.route, $0.value) }) { $1 }
      state.taken = state.taken.filter { state.webhooks[$0.key] != nil }
    }
    return self.audit.use(audit)
  }

  /// Opens the audit file anew, under which name it may be by now.
  func reopen() -> String? { audit.reopen() }

  /// Writes what is left for the audit file.
  func end() {
    if !audit.end(within: 5_000_000_000) { log.error("lines of the audit file are lost: it is written too slowly") }
  }

  func handle(_ event: borrowing HubEvent) {
    switch event.kind {
    case Int(PULSEWS_HUB_HTTP_REQUEST):
      let call = WebhookCall(method: event.method, target: event.target, address: event.address, body: event.data)
      let (status, headers, body) = receive(call, route: event.route)
      let bytes = Array((body + "\n").utf8)
      let code = pulsews_hub_answer(
        hub.handle, event.request, status, "Content-Type: application/json\n\(headers)", bytes, bytes.count)
      if code != OK.code { log.error("a webhook could not be answered: \(text(pulsews_error_text(code)))") }
    case Int(PULSEWS_HUB_AUTHENTICATED):
      let (peer, claims) = (event.peer, event.data)
      state.withLock { $0.peers.authenticated(peer, claims: claims) }
    case Int(PULSEWS_HUB_CLOSED):
      let peer = event.peer
      state.withLock { $0.peers.closed(peer) }
    case Int(PULSEWS_HUB_MESSAGE): take(event.data, from: event.peer)
    default: break
    }
  }

  /// Publishes; the offset, or the code of the library.
  private func publish(_ topic: String, key: String?, _ data: [UInt8]) -> Result<UInt64, LibraryFailure> {
    var offset: UInt64 = 0
    let code = pulsews_hub_publish(hub.handle, topic, key, data, data.count, &offset)
    if code == OK.code { return .success(offset) }
    return .failure(LibraryFailure(code: code, sentence: text(pulsews_error_text(code))))
  }
}

// MARK: Webhooks

extension SignalService {
  /// Status, more headers, body.
  func receive(_ call: WebhookCall, route: String) -> (Int32, String, String) {
    let now = daemon_monotonic_ns()
    return state.withLock { state in
      guard let webhook = state.webhooks[route] else {
        return refusal(404, "no_such_webhook", "there is no webhook here")
      }
      switch webhook.judge(call, state.taken[route] ?? Dedupe(), now: now) {
      case .refuse(let status, let code, let sentence):
        record(webhook, call, "refused", [("code", code)])
        log.warning(
          "a call of a webhook was refused", metadata: ["webhook": "\(webhook.path)", "address": "\(call.address)", "code": "\(code)"])
        return refusal(status, code, sentence)
      case .duplicate:
        record(webhook, call, "duplicate", [])
        log.info("a repeated call of a webhook was left out", metadata: ["webhook": "\(webhook.path)", "address": "\(call.address)"])
        return (200, "", "{\"duplicate\":true}")
      case .publish(let topic, let data, let mark):
        return publish(&state, webhook, call, topic, data, mark, now)
      }
    }
  }

  private func publish(
    _ state: inout State, _ webhook: WebhookConfig, _ call: WebhookCall, _ topic: String, _ data: [UInt8], _ mark: Dedupe.Mark?,
    _ now: Int64
  ) -> (Int32, String, String) {
    state.count += 1
    let id = "\(life)-\(state.count)"
    let head =
      "{\"type\":\"signal\",\"id\":\(jsonString(id)),\"webhook\":\(jsonString(webhook.path)),"
      + "\"received\":\(jsonString(formatTime(daemon_realtime_ns()))),\"data\":"
    switch publish(topic, key: nil, Array(head.utf8) + data + [UInt8(ascii: "}")]) {
    case .failure(let failure):
      let isFull = failure.code == Int32(PULSEWS_EQUEUEFULL)
      record(webhook, call, isFull ? "full" : "failed", [("topic", topic), ("data", String(decoding: data, as: UTF8.self))])
      log.error("a signal could not be published: \(failure.sentence)", metadata: ["webhook": "\(webhook.path)", "topic": "\(topic)"])
      if isFull { return refusal(503, "unavailable", "the hub has no room for it now", headers: "Retry-After: 5\n") }
      return refusal(400, "bad_body", failure.sentence)
    case .success(let offset):
      // Only what was published is known when it comes again.
      if let mark { state.taken[webhook.route, default: Dedupe()].take(mark, now: now, window: webhook.window) }
      remember(&state, id, webhook.statusTopic)
      record(
        webhook, call, "published",
        [("id", id), ("topic", topic), ("offset", "\(offset)"), ("data", String(decoding: data, as: UTF8.self))])
      return (200, "", "{\"id\":\(jsonString(id)),\"topic\":\(jsonString(topic)),\"offset\":\(offset)}")
    }
  }

  private func refusal(_ status: Int32, _ code: String, _ sentence: String, headers: String = "") -> (Int32, String, String) {
    let allow = status == 405 ? "Allow: POST\n" : ""
    return (
      status, headers + allow,
      "{\"error\":{\"code\":\(jsonString(code)),\"message\":\(jsonString(sentence)),\"status\":\(status)}}"
    )
  }

  private func remember(_ state: inout State, _ id: String, _ topic: String) {
    if state.signals.count >= 2 * SignalService.mostSignals {
      for old in state.signals.prefix(SignalService.mostSignals) { state.statusTopics[old] = nil }
      state.signals.removeFirst(SignalService.mostSignals)
    }
    state.signals.append(id)
    state.statusTopics[id] = topic
  }

  /// A line of the audit file; `data` is JSON, all else text.
  private func record(
    _ webhook: WebhookConfig, _ call: WebhookCall, _ result: String,
    _ more: @autoclosure () -> [(name: String, value: String)]
  ) {
    audit.append {
      let head = [("time", formatTime(daemon_realtime_ns())), ("webhook", webhook.path), ("address", call.address), ("result", result)]
      let members = (head + more().map { ($0.name, $0.value) }).map { name, value in
        "\(jsonString(name)):\(name == "data" || name == "offset" ? value : jsonString(value))"
      }
      // Only blanks of JSON can be line feeds here.
      let line = "{\(members.joined(separator: ","))}".utf8.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
      return String(decoding: line, as: UTF8.self)
    }
  }
}

// MARK: Messages of services

extension SignalService {
  private func take(_ data: [UInt8], from peer: UInt64) {
    let answer: String = state.withLock { state in
      let id = JSONScanner.isObject(data) ? JSONScanner.raw(data, at: ["id"]).flatMap { $0.utf8.count <= 64 ? $0 : nil } : nil
      let statusTopics = state.statusTopics
      switch PeerMessage.read(data, state.portfolio, statusTopic: { statusTopics[$0] }) {
      case .failure(let refusal): return error(id, nil, refusal.code, refusal.sentence)
      case .success(let message):
        guard state.peers[peer]?.mayPublish(message.topic) == true else {
          return error(id, message.topic, "publish_forbidden", "no token of this peer lets it publish to the topic")
        }
        switch publish(message.topic, key: message.key, data) {
        case .success(let offset):
          return "{\"type\":\"published\"\(member("id", id)),\"topic\":\(jsonString(message.topic)),\"offset\":\(offset)}"
        case .failure(let failure):
          let isFull = failure.code == Int32(PULSEWS_EQUEUEFULL)
          return error(id, message.topic, isFull ? "unavailable" : "bad_request", failure.sentence)
        }
      }
    }
    let bytes = Array(answer.utf8)
    // A peer that has gone is no error.
    pulsews_hub_send(hub.handle, peer, UInt32(PULSEWS_TEXT), bytes, bytes.count)
  }

  private func member(_ name: String, _ raw: String?) -> String { raw.map { ",\"\(name)\":\($0)" } ?? "" }

  /// As an error of the hub itself.
  private func error(_ id: String?, _ topic: String?, _ code: String, _ sentence: String) -> String {
    "{\"type\":\"error\"\(member("id", id))\(member("topic", topic.map { jsonString($0) })),"
      + "\"data\":{\"code\":\(jsonString(code)),\"message\":\(jsonString(sentence)),\"details\":{}}}"
  }
}
