// SPDX-License-Identifier: Apache-2.0
import PulseText

extension UpgradeRequestInfo {
  /// Judges the whole head of a request (RFC 6455 §4.2.1). `consumed` is left at 0.
  package static func judge(_ head: HTTPHead) -> Result<UpgradeRequestInfo, UpgradeRequestFailure> {
    do throws(UpgradeRequestFailure) {
      let target = try target(of: head)
      let host = try host(of: head)
      try checkUpgrade(head)
      let key = try key(of: head)
      return .success(
        UpgradeRequestInfo(
          target: HTTPText.string(target), host: HTTPText.string(host), headers: head.headers,
          subprotocols: try subprotocols(of: head), deflateOffers: try offers(in: head),
          accept: String(bytes: UpgradeKey.accept(key)), consumed: 0))
    } catch {
      return .failure(error)
    }
  }

  @inline(never) private static func target(of head: HTTPHead) throws(UpgradeRequestFailure) -> ArraySlice<UInt8> {
    if !HTTPText.same(head.bytes[head.method], "GET") {
      throw failure(
        405, "the method is \(quoted: head.bytes[head.method]) instead of GET", [("Allow", "GET")])
    }
    if head.minorVersion != 1 { throw failure(505, "the request is HTTP/1.0, which knows no upgrade") }
    guard let target = RequestRules.originForm(head.bytes[head.target]) else {
      throw failure(400, "the target \(quoted: head.bytes[head.target]) is not a path")
    }
    return target
  }

  /// RFC 9112 §3.2: exactly one.
  @inline(never) private static func host(of head: HTTPHead) throws(UpgradeRequestFailure) -> ArraySlice<UInt8> {
    guard head.count(of: "host") == 1, let host = head.value(of: "host"), RequestRules.isHost(host) else {
      throw failure(400, "the request has not exactly one valid Host header")
    }
    return host
  }

  @inline(never) private static func checkUpgrade(_ head: HTTPHead) throws(UpgradeRequestFailure) {
    // A body could be read as frames by one side and as a body by another (RFC 9112 §11.2).
    if head.count(of: "transfer-encoding") > 0 || !hasNoBody(head) {
      throw failure(400, "the request has a body")
    }
    if !head.list(of: "upgrade", has: "websocket") || !head.list(of: "connection", has: "upgrade") {
      throw failure(
        426, "the request does not ask for an upgrade to websocket",
        [("Upgrade", "websocket"), ("Connection", "Upgrade")])
    }
    // RFC 6455 §4.4: says which version is understood.
    guard head.count(of: "sec-websocket-version") == 1, let version = head.value(of: "sec-websocket-version"),
      HTTPText.same(version, "13")
    else {
      throw failure(
        426, "Sec-WebSocket-Version is not 13",
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")])
    }
  }

  @inline(never) private static func key(of head: HTTPHead) throws(UpgradeRequestFailure) -> [UInt8] {
    guard head.count(of: "sec-websocket-key") == 1, let value = head.value(of: "sec-websocket-key"), value.count == 24 else {
      throw badKey()
    }
    let key = Array(value)
    if Base64.decode(key)?.count != 16 { throw badKey() }
    return key
  }

  @inline(never) private static func badKey() -> UpgradeRequestFailure {
    failure(400, "the request has not exactly one Sec-WebSocket-Key of 16 bytes in base64")
  }

  /// RFC 6455 §4.1: tokens, each once. A name can be a secret, so that the sentence has none.
  @inline(never) private static func subprotocols(of head: HTTPHead) throws(UpgradeRequestFailure) -> [String] {
    var names: [String] = []
    for name in head.list(of: "sec-websocket-protocol") {
      var isFine = HTTPText.isToken(name)
      for other in names where HTTPText.same(name, other) { isFine = false }
      if !isFine { throw failure(400, "Sec-WebSocket-Protocol has a name that is no token or there twice") }
      if names.count >= HeaderCheck.maxCount {
        throw failure(400, "Sec-WebSocket-Protocol has more than \(HeaderCheck.maxCount) names")
      }
      names.append(HTTPText.string(name))
    }
    return names
  }

  /// RFC 6455 §9.1: what is malformed fails the connection, what is merely unknown is ignored.
  @inline(never) private static func offers(in head: HTTPHead) throws(UpgradeRequestFailure) -> [DeflateOffer] {
    var all: [DeflateOffer] = []
    for field in head.fields
    where HTTPText.sameIgnoringCase(head.bytes[field.name], "sec-websocket-extensions") {
      guard let offers = DeflateNegotiation.offers(in: head.bytes[field.value]) else {
        throw failure(400, "Sec-WebSocket-Extensions is malformed: \(quoted: head.bytes[field.value])")
      }
      for offer in offers { all.append(offer) }
    }
    return all
  }

  @inline(never) private static func failure(
    _ status: Int, _ text: Sentence, _ headers: [HTTPHeader] = []
  ) -> UpgradeRequestFailure {
    UpgradeRequestFailure(status: status, headers: headers, text: sentence(text))
  }

  @inline(never) private static func hasNoBody(_ head: HTTPHead) -> Bool {
    let lengths = head.list(of: "content-length")
    for value in lengths where !HTTPText.same(value, "0") { return false }
    return lengths.count == head.count(of: "content-length")
  }
}
