// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport

/// Options as clients use them, with what they are to the parts: made once for all clients of one configuration, and never
/// changed.
package final class Settings: @unchecked Sendable {  // immutable
  package let options: ClientOptions
  let inbound: Inbound.Rules
  let line: LineRules
  /// Messages are looked at, since there are patterns for them.
  let inspects: Bool

  package init(_ options: ClientOptions) {
    var options = options
    options.addUsualReply()
    if options.resume { options.prepareResume() }
    self.options = options
    inbound = Inbound.Rules(options)
    line = LineRules(options, .url)
    inspects = options.hasPatterns
  }
}

/// Options that can be set, and are then used by any number of clients.
package final class Configuration: @unchecked Sendable {  // `made` is guarded by `mutex`; options are set by one thread at a time
  package var options = ClientOptions() { didSet { mutex.withLock { made = nil } } }
  private let mutex = Mutex()
  private var made: Settings?

  package init() {}

  /// Clients that are made until the next change share them.
  package var settings: Settings {
    mutex.lock()
    defer { mutex.unlock() }
    if let made { return made }
    let settings = Settings(options)
    made = settings
    return settings
  }
}

/// What options are to the parts of a line.
final class LineRules {
  let dialer: Dialer.Rules
  let handover: Handover.Rules
  let session: Session.Rules
  let liveness: Liveness.Rules
  let outbound: Outbound.Rules

  init(_ options: ClientOptions, _ side: Line.Side) {
    dialer = Dialer.Rules(options, endpoints: side == .url ? options.endpoints.count + 1 : 1)
    handover = Handover.Rules(options)
    session = Session.Rules(options)
    liveness = Liveness.Rules(options)
    outbound = Outbound.Rules(options)
    // Events tell of the client's own URL, and of the twin those of its name; the log tells of both.
    if options.twin != nil { liveness.name = side.name }
    if side == .twin {
      outbound.emitsEvents = false
      liveness.tells = false
    }
  }
}

extension ClientOptions {
  /// What a hub needs that speaks pulse.v1, beside what was set.
  @inline(never) fileprivate mutating func prepareResume() {
    var isOffered = false
    for name in subprotocols where equal("pulse.v1", name) { isOffered = true }
    if !isOffered { subprotocols.append(text("pulse.v1")) }
    subscribeConfirm.add("{\"type\":\"subscribed\",\"topic\":\"${key}\",\"id\":${id}}")
    subscribeReject.add("{\"type\":\"error\",\"topic\":\"${key}\",\"id\":${id}}")
    if unsubscribeMessage == nil,
      case .success(let template) = Template.parse(
        Array(("{\"type\":\"unsubscribe\",\"topics\":[${keys}]}" as Literal).bytes))
    {
      unsubscribeMessage = template
    }
    subscribeBatch = min(subscribeBatch, 100)
    fatalCloseCodes.append(4003)
    fatalCloseCodes.append(4040)
    // With a hold the application has the chance to set another token.
    if !holdConnect { fatalCloseCodes.append(4009) }
  }

  /// The two heartbeats with a usual answer have it without being told.
  @inline(never) fileprivate mutating func addUsualReply() {
    guard let heartbeatMessage, heartbeatReply.isEmpty else { return }
    var text: [UInt8] = []
    _ = heartbeatMessage.render(into: &text, id: 0, realtime: 0, keys: [], request: nil)
    let sent = String(bytes: text)
    var reply: Literal = ""
    if equal("ping", sent) { reply = "pong" }
    if equal("{\"type\":\"ping\"}", sent) { reply = "{\"type\":\"pong\"}" }
    if !reply.isEmpty { heartbeatReply.add(reply) }
  }
}

extension PatternList {
  /// One of the library's own.
  @inline(never) fileprivate mutating func add(_ text: Literal) {
    if case .success(let pattern) = Pattern.parse(Array(text.bytes)) { append(pattern) }
  }
}
