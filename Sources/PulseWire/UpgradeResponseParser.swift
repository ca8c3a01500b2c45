// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The client's half of the handshake: reads the server's answer (RFC 6455 §4.1) as it arrives. Not thread safe.
package final class UpgradeResponseParser {
  private enum State {
    case head, body(BodyReader), done(UpgradeProgress)
  }

  /// 103 and the like in front of the answer (RFC 9110 §15.2).
  private static let maxInformational = 8

  private var state = State.head
  private var parser: HTTPHeadParser
  private let accept: [UInt8]
  private let subprotocols: [String]
  private let offer: DeflateOffer?
  private let maxSize: Int
  /// An answer that leads elsewhere is complete with its head.
  private let stopsAtRedirects: Bool
  private var informational = 0
  /// Bytes of the heads so far, informational ones included.
  private var headSize = 0
  private var refusal = UpgradeRefusal(status: 0, reason: "", headers: [], body: [])

  /// `key`, `subprotocols` and `offer` are those of the request.
  package init(
    key: [UInt8], subprotocols: [String], offer: DeflateOffer?, maxSize: Int = 64 << 10, stopsAtRedirects: Bool = false
  ) {
    accept = UpgradeKey.accept(Base64.encode(key))
    self.subprotocols = subprotocols
    self.offer = offer
    self.maxSize = maxSize
    self.stopsAtRedirects = stopsAtRedirects
    parser = HTTPHeadParser(.response, maxSize: maxSize)
  }

  package convenience init(request: UpgradeRequest, maxSize: Int = 64 << 10) {
    self.init(key: request.key, subprotocols: request.subprotocols, offer: request.offerDeflate, maxSize: maxSize)
  }

  /// The answer is a refusal and only (more of) its body is missing: what `finish()` then gives is worth having.
  package var isReadingBody: Bool {
    if case .body = state { true } else { false }
  }

  /// The end of the answer is final: later calls return it again, without looking at the bytes.
  package func receive(_ bytes: UnsafeRawBufferPointer) -> UpgradeProgress {
    var offset = 0
    while true {
      switch state {
      case .done(let progress):
        return progress

      case .head:
        switch parser.receive(bytes, from: &offset) {
        case .needMoreBytes:
          return .needMoreBytes
        case .failed(let failure):
          if parser.isRefusal { return refuse(parser.head) }
          return end(failure.isTooLarge ? .tooLarge : .malformed, failure.text)
        case .complete:
          if let progress = headIsComplete(consumed: offset) { return progress }
        }

      case .body(var reader):
        let isComplete = reader.receive(bytes, from: &offset, into: &refusal.body)
        state = .body(reader)
        return isComplete ? end(.refused(refusal)) : .needMoreBytes
      }
    }
  }

  /// The connection ended, or time is over: a refusal is given with the part of its body that is there.
  package func finish() -> UpgradeProgress {
    switch state {
    case .done(let progress): progress
    case .body: end(.refused(refusal))
    case .head where parser.isRefusal: refuse(parser.head)
    case .head where parser.size == 0 && informational == 0:
      end(.incomplete, "the connection ended before the server answered the upgrade request")
    case .head:
      end(
        .incomplete,
        "the connection ended inside the server's answer to the upgrade request, after \(headSize + parser.size) bytes")
    }
  }

  private func end(_ progress: UpgradeProgress) -> UpgradeProgress {
    if case .accepted(var acceptance) = progress {
      // A later call brings bytes of which none belong to the handshake.
      acceptance.consumed = 0
      state = .done(.accepted(acceptance))
    } else {
      state = .done(progress)
    }
    parser = HTTPHeadParser(.response, maxSize: 0)
    return progress
  }

  private func end(_ kind: UpgradeFailureKind, _ text: Sentence) -> UpgradeProgress {
    if parser.head.status == 101 { take(parser.head) }
    return end(.failed(UpgradeFailure(kind: kind, text: sentence(text), answer: refusal)))
  }

  // MARK: The head

  /// nil to go on with what follows the head.
  private func headIsComplete(consumed: Int) -> UpgradeProgress? {
    let head = parser.head
    if head.status == 101 { return judge(head, consumed: consumed) }
    if !parser.isRefusal {
      informational += 1
      headSize += parser.size
      if informational > Self.maxInformational {
        return end(.malformed, "the server sent more than \(Self.maxInformational) informational answers")
      }
      parser = HTTPHeadParser(.response, maxSize: maxSize, used: headSize)
      return nil
    }
    let leadsElsewhere =
      stopsAtRedirects && WebSocketURL.isRedirect(status: head.status) && head.value(of: "location") != nil
    guard !leadsElsewhere, let reader = BodyReader(head) else { return refuse(head) }
    take(head)
    state = .body(reader)
    return nil
  }

  @inline(never)
  private func take(_ head: HTTPHead) {
    refusal.status = head.status
    refusal.reason = head.text(head.reason)
    refusal.headers = head.headers
  }

  /// With as much of the head as there is, and no body.
  @inline(never)
  private func refuse(_ head: HTTPHead) -> UpgradeProgress {
    take(head)
    return end(.refused(refusal))
  }

  /// RFC 6455 §4.1, the numbered list of what a client validates.
  private func judge(_ head: HTTPHead, consumed: Int) -> UpgradeProgress {
    if head.minorVersion != 1 { return invalid("it is HTTP/1.0, which knows no upgrade") }
    let upgrade = head.list(of: "upgrade")
    if upgrade.count != 1 || !HTTPText.sameIgnoringCase(upgrade[0], "websocket") {
      return invalid(describe(head, "upgrade", "Upgrade", expected: "websocket"))
    }
    if !head.list(of: "connection", has: "upgrade") {
      return invalid(describe(head, "connection", "Connection", expected: "Upgrade"))
    }
    // Exactly once, and exact: it is what shows that the server read this very request.
    if head.count(of: "sec-websocket-accept") > 1 { return invalid("it has Sec-WebSocket-Accept more than once") }
    guard let answer = head.value(of: "sec-websocket-accept") else { return invalid("Sec-WebSocket-Accept is missing") }
    if answer != accept[...] {
      return invalid("Sec-WebSocket-Accept is \(quoted: answer), which does not belong to the key that was sent")
    }

    var acceptance = UpgradeAcceptance(subprotocol: nil, deflate: nil, headers: head.headers, consumed: consumed)
    // RFC 6455 §11.3.2: at most once in an answer. Some servers and proxies write an empty one for none.
    var isTwice = false
    let extensions = head.single("sec-websocket-extensions", isTwice: &isTwice)
    if isTwice { return invalid("it has Sec-WebSocket-Extensions more than once") }
    if let header = extensions {
      switch DeflateNegotiation.checkAnswer(header, offer: offer) {
      case .none: break
      case .agreed(let parameters): acceptance.deflate = parameters
      case .failed(let text): return invalid("\(text)")
      }
    }
    // §11.3.4: at most once, and one of those asked for.
    let name = head.single("sec-websocket-protocol", isTwice: &isTwice)
    if isTwice { return invalid("it has Sec-WebSocket-Protocol more than once") }
    if let name {
      for asked in subprotocols where HTTPText.same(name, asked) { acceptance.subprotocol = asked }
      if acceptance.subprotocol == nil {
        return invalid("the server chose the subprotocol \(quoted: name), which was not asked for")
      }
    }
    return end(.accepted(acceptance))
  }

  private func invalid(_ why: Sentence) -> UpgradeProgress {
    end(.invalid, "the server's answer 101 is not valid: \(why)")
  }

  private func describe(
    _ head: HTTPHead, _ name: Literal, _ shown: Literal, expected: Literal
  ) -> Sentence {
    guard let value = head.value(of: name) else { return "\(shown) is missing" }
    return "\(shown) is \(quoted: value) instead of \(expected)"
  }
}
