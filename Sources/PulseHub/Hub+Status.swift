// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// What a hub tells of itself. No loop's mutex is held.
extension Hub {
  package func totals() -> HubStatistics {
    var sum = HubStatistics()
    for loop in loops { sum.add(loop.mutex.withLock { loop.present }) }
    sum.messagesPublished = published.messages.load(ordering: .relaxed)
    sum.bytesPublished = published.bytes.load(ordering: .relaxed)
    sum.publishesRefused = published.refused.load(ordering: .relaxed)
    sum.feedMessages = fed.messages.load(ordering: .relaxed)
    sum.feedUnmatched = fed.unmatched.load(ordering: .relaxed)
    sum.feedIncomplete = fed.incomplete.load(ordering: .relaxed)
    sum.feedRefused = fed.refused.load(ordering: .relaxed)
    sum.feedOutdated = fed.outdated.load(ordering: .relaxed)
    sum.topics = UInt64(topics.count)
    sum.applicationEventsQueued = UInt64(events.count)
    return sum
  }

  /// As a `snapshot` message; nil if nobody has made the topic.
  package func topicJSON(_ name: UnsafeRawBufferPointer) -> [UInt8]? {
    guard let topic = topics.find(name) else { return nil }
    // The text of 10,000 keys takes its time, in which nobody could publish.
    let cut = topic.mutex.withLock { topic.topic.snapshot(now: Clock.monotonic()) }
    return cut.text
  }

  private var stateName: Literal {
    switch state {
    case .made: "made"
    case .running: "running"
    case .draining: "draining"
    case .ended: "ended"
    }
  }

  private func statsJSON() -> [UInt8] {
    let statistics = totals()
    var out: [UInt8] = [UInt8(ascii: "{")]
    appendNumbers(statistics, to: &out)
    out.add(UInt8(ascii: "}"))
    return out
  }

  private func appendNumbers(_ statistics: HubStatistics, to out: inout [UInt8]) {
    var rows = HubStatistics.rows
    while let index = rows.next() {
      if index > 0 { out.add(UInt8(ascii: ",")) }
      out.append(contentsOf: ("\"\(rows.text(0))\":\(statistics[index])" as Sentence).bytes)
    }
  }

  package func statusJSON() -> [UInt8] {
    var out: [UInt8] = []
    let uptime = startedAt == 0 ? 0 : Clock.monotonic() &- startedAt
    out.append(
      contentsOf: ("""
      {"hub":\(json: String(bytes: options.name)),"state":"\(stateName)","version":"\(Version.text)",\
      "epoch":"\(String(bytes: epoch))","uptime":\(seconds: uptime),"loops":\(loops.count),"statistics":{
      """ as Sentence).bytes)
    appendNumbers(totals(), to: &out)
    out.append(contentsOf: ("}}" as Sentence).bytes)
    return out
  }

  package func prometheus() -> [UInt8] {
    let statistics = totals()
    var out: [UInt8] = []
    var rows = HubStatistics.rows
    while let index = rows.next() {
      let isCounter = rows.text(1).start[0] == UInt8(ascii: "c")
      let name: Sentence = "pulsews_hub_\(rows.text(0))\(isCounter ? Literal("_total") : Literal(""))"
      out.append(
        contentsOf: ("""
        # HELP \(name) \(rows.text(3)) (\(rows.text(2)))
        # TYPE \(name) \(rows.text(1))
        \(name){hub=\(json: String(bytes: options.name))} \(statistics[index])

        """ as Sentence).bytes)
    }
    return out
  }

  /// A row for each peer, loop by loop.
  package func peersJSON() -> [UInt8] {
    let now = Clock.monotonic()
    var out: [UInt8] = [UInt8(ascii: "[")]
    for loop in loops {
      loop.mutex.lock()
      for connection in loop.openConnections() {
        guard let connection, let peer = connection.peer else { continue }
        if out.count > 1 { out.add(UInt8(ascii: ",")) }
        let books = peer.queue.books
        out.append(
          contentsOf: ("""
          {"peer":\(connection.number),"address":"\(connection.address)","route":\(json: String(bytes: peer.route.path)),\
          "protocol":"\(peer.isPulse ? HubRoute.pulse : Literal("plain"))","compression":\(boolean: peer.queue.compresses),\
          "seconds":\(seconds: max(0, now &- peer.openedAt)),"subscriptions":\(peer.queue.subscriptionCount),\
          "offered":\(books.offered),"written":\(books.written),"conflated":\(books.conflated),"dropped":\(books.dropped),\
          "queued":\(books.queued)}
          """ as Sentence).bytes)
      }
      loop.mutex.unlock()
    }
    out.add(UInt8(ascii: "]"))
    return out
  }

  // MARK: Over HTTP

  func answer(about kind: HubRoute.Kind) -> Response {
    switch kind {
    case .metrics: Response(200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: prometheus())
    case .stats: .json(statsJSON())
    case .peers: .json(peersJSON())
    default: .json(statusJSON())
    }
  }

  func healthAnswer() -> Response {
    let isFine = !isDraining
    let body: Sentence = "{\"status\":\"\(isFine ? Literal("ok") : Literal("draining"))\"}"
    return .json(body.bytes, isFine ? 200 : 503)
  }

  func commonHeaders(_ request: Request) -> [HTTPHeader] {
    var headers = cors.headers(for: request.origin)
    headers.add(serverHeaders)
    return headers
  }

  /// `{"topic": ..., "key": ..., "data": ...}` of a service that knows the token.
  func publish(_ request: Request) -> Result<UInt64, Refusal> {
    guard let bearer = request.bearer else { return .failure(.unauthenticated("publishing needs a bearer token")) }
    var identity: HubIdentity?
    if !isSecret(bearer, options.publishToken) {
      switch identify(Array(bearer)) {
      case .success(let found): identity = found
      // It may have been meant for `publish_token`.
      case .failure(.malformed): return .failure(.unauthenticated("this is no token for publishing"))
      case .failure(let problem): return .failure(.token(problem))
      }
    }
    let fields = PublishRequest.read(request.body)
    guard let fields else {
      return .failure(Refusal(400, "bad_publication", "the body is not {\"topic\": text, \"key\": text, \"data\": value}"))
    }
    if let identity, !identity.mayPublish(fields.topic) {
      return .failure(.forbidden("the token does not name this topic among those that may be published"))
    }
    let made = fields.topic.withUnsafeBytes { topic in
      fields.data.withUnsafeBytes { data in
        guard let key = fields.key else { return publish(topic, nil, data, Stamps(received: Clock.realtime())) }
        return key.withUnsafeBytes { publish(topic, $0, data, Stamps(received: Clock.realtime())) }
      }
    }
    switch made {
    case .success(let offset): return .success(offset)
    case .failure(let problem) where problem.code == .queueFull: return .failure(.unavailable("\(problem.text)", retryAfter: 1))
    case .failure(let problem): return .failure(Refusal(400, "bad_publication", "\(problem.text)"))
    }
  }

  func mayReadStatus(_ request: Request) -> Bool {
    options.statusToken.isEmpty || isSecret(request.bearer ?? [], options.statusToken)
  }

  /// In a time that tells nothing of where the two differ.
  private func isSecret(_ token: ArraySlice<UInt8>, _ wanted: [UInt8]) -> Bool {
    if wanted.isEmpty { return false }
    var difference = token.count ^ wanted.count
    var place = 0
    for byte in token {
      difference |= Int(byte ^ wanted[place % wanted.count])
      place &+= 1
    }
    return difference == 0
  }
}

extension Response {
  /// For nobody to keep.
  static func json(_ body: [UInt8], _ status: Int = 200) -> Response {
    Response(status, contentType: "application/json", headers: [(name: "Cache-Control", value: "no-store")], body: body)
  }
}

/// The body of a publish request.
struct PublishRequest {
  var topic: [UInt8]
  var key: [UInt8]?
  var data: [UInt8]

  static func read(_ body: [UInt8]) -> PublishRequest? {
    body.withUnsafeBytes { bytes in
      if !isValidUTF8(bytes) { return nil }
      var scanner = JSONScanner(bytes)
      guard scanner.next() == UInt8(ascii: "{"), scanner.enter() else { return nil }
      var topic: [UInt8] = []
      var key: [UInt8]?
      var data: [UInt8]?
      var name = JSONString(raw: UnsafeRawBufferPointer(start: nil, count: 0), hasEscapes: false)
      while true {
        switch scanner.nextMember(&name) {
        case .invalid: return nil
        case .end:
          guard scanner.isAtEnd(), !topic.isEmpty, let data else { return nil }
          return PublishRequest(topic: topic, key: key, data: data)
        case .item:
          if isName(name, "topic") {
            guard let text = text(&scanner) else { return nil }
            topic = text
          } else if isName(name, "key") {
            guard let text = text(&scanner) else { return nil }
            key = text
          } else {
            let isData = isName(name, "data")
            guard let value = scanner.readValue() else { return nil }
            if isData { data = Array(value) }
          }
        }
      }
    }
  }

  private static func isName(_ name: JSONString, _ wanted: Literal) -> Bool { name.equals(UnsafeRawBufferPointer(wanted.bytes)) }

  private static func text(_ scanner: inout JSONScanner) -> [UInt8]? {
    guard scanner.next() == UInt8(ascii: "\""), let string = scanner.readString() else { return nil }
    var out: [UInt8] = []
    string.append(to: &out)
    return out
  }
}
