// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Judges a whole head: what it asks for, and where the message ends (RFC 9112 §3, §6). A proxy in front may have read
/// it in another way; whatever leaves room for that is refused.
struct RequestFraming {
  private let head: HTTPHead
  private let maxBodySize: Int
  private(set) var body = RequestBodyReader.none
  private(set) var expectsContinue = false

  init(head: HTTPHead, maxBodySize: Int) {
    self.head = head
    self.maxBodySize = maxBodySize
  }

  mutating func read() -> Result<Request, Refusal> {
    let method = Methods(name: head.bytes[head.method])
    if let refusal = checkHost() ?? checkSingles() ?? checkConnection() ?? readFraming() { return .failure(refusal) }
    let isModern = head.minorVersion == 1
    // RFC 9110 §7.8: a server ignores Upgrade in HTTP/1.0.
    let isUpgrade = isModern && head.list(of: "upgrade", has: "websocket") && head.list(of: "connection", has: "upgrade")
    if isUpgrade, !body.isNothing { return .failure(.badRequest("the request for an upgrade has a body")) }
    if let refusal = readExpectation(isModern) { return .failure(refusal) }

    let closes = head.list(of: "connection", has: "close")
    let stays = isModern || head.list(of: "connection", has: "keep-alive")
    let target: ArraySlice<UInt8>
    switch readTarget(method) {
    case .failure(let refusal): return .failure(refusal)
    case .success(let found): target = found
    }
    let question = target.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex
    let path: [UInt8]
    if target.first == UInt8(ascii: "*") {
      path = Array(target)
    } else {
      switch RequestPath.read(target[..<question]) {
      case .failure(let refusal): return .failure(refusal)
      case .success(let found): path = found
      }
    }
    return .success(
      Request(
        head: head, method: method, path: path, query: Query(target[question...].dropFirst()),
        keepsAlive: stays && !closes && !isUpgrade, isUpgrade: isUpgrade))
  }

  /// The path and query of the target (RFC 9112 §3.2). What stands before the path has to be what Host says.
  private func readTarget(_ method: Methods) -> Result<ArraySlice<UInt8>, Refusal> {
    let target = head.bytes[head.target]
    if HTTPText.same(target, Literal("*")), method == .options { return .success(target) }
    guard let path = RequestRules.originForm(target) else {
      // Behind the question mark may be a secret.
      let shown = target.prefix { $0 != UInt8(ascii: "?") }
      return .failure(.badRequest("the target \(quoted: shown) is not a path"))
    }
    if path.startIndex == target.startIndex { return .success(path) }
    let scheme = HTTPText.startsIgnoringCase(target, "https") ? 8 : 7
    let authority = target[..<path.startIndex].dropFirst(scheme)
    if let host = head.value(of: "host"), !Self.sameIgnoringCase(authority, host) {
      return .failure(.badRequest("the target names another host than the Host header"))
    }
    return .success(path)
  }

  @inline(never) private static func sameIgnoringCase(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
    if a.count != b.count { return false }
    var at = b.startIndex
    for byte in a {
      if HTTPText.lower(byte) != HTTPText.lower(b[at]) { return false }
      at += 1
    }
    return true
  }

  /// RFC 9112 §3.2: exactly one in HTTP/1.1; HTTP/1.0 may have none.
  private func checkHost() -> Refusal? {
    let count = head.count(of: "host")
    if count == 0, head.minorVersion == 0 { return nil }
    guard count == 1, let host = head.value(of: "host"), RequestRules.isHost(host) else {
      return .badRequest("the request has not exactly one valid Host header")
    }
    return nil
  }

  /// Headers that decide who may do what, of which a second one would let two readers decide on different ones.
  private func checkSingles() -> Refusal? {
    for name in [Literal("origin"), "authorization", "expect", "content-type"] where head.count(of: name) > 1 {
      return .badRequest("the request has more than one \(name) header")
    }
    for field in head.fields {
      let name = head.bytes[field.name]
      // Many a gateway makes one name of both.
      if HTTPText.sameIgnoringCase(name, "content_length") || HTTPText.sameIgnoringCase(name, "transfer_encoding") {
        return .badRequest("the request has the header \(quoted: name), which is spelled with an underscore")
      }
    }
    return nil
  }

  /// RFC 9110 §7.6.1: what a proxy would take away because it is listed.
  private func checkConnection() -> Refusal? {
    for option in head.list(of: "connection") {
      for name in [Literal("host"), "content-length", "transfer-encoding", "authorization", "origin"]
      where HTTPText.sameIgnoringCase(option, name) {
        return .badRequest("the Connection header lists \(name), which is not of one connection alone")
      }
    }
    return nil
  }

  /// RFC 9112 §6.1 to §6.3.
  private mutating func readFraming() -> Refusal? {
    let codings = head.count(of: "transfer-encoding")
    let lengths = head.count(of: "content-length")
    if codings > 0 {
      if lengths > 0 { return .badRequest("the request has both Content-Length and Transfer-Encoding") }
      if head.minorVersion == 0 { return .badRequest("the request is HTTP/1.0, which has no Transfer-Encoding") }
      guard codings == 1, let coding = head.value(of: "transfer-encoding") else {
        return .badRequest("the request has more than one Transfer-Encoding header")
      }
      if !HTTPText.sameIgnoringCase(coding, "chunked") {
        return .badRequest("Transfer-Encoding is \(quoted: coding); only chunked is understood", status: Self.status(coding))
      }
      body = .chunked(limit: maxBodySize)
      return nil
    }
    if lengths == 0 { return nil }
    guard lengths == 1, let value = head.value(of: "content-length") else {
      return .badRequest("the request has more than one Content-Length header")
    }
    var isNumber = !value.isEmpty
    for byte in value where !HTTPText.isDigit(byte) { isNumber = false }
    if !isNumber { return .badRequest("Content-Length is \(quoted: value) and not a number") }
    // A reader that takes it for octal would see another length.
    if value.count > 1, value.first == UInt8(ascii: "0") { return .badRequest("Content-Length is \(quoted: value), with a leading zero") }
    guard let length = HTTPText.decimal(value, limit: maxBodySize) else {
      return .badRequest("the body of the request has \(quoted: value) bytes; allowed are \(maxBodySize)", status: 413)
    }
    if length > 0 { body = .counted(length) }
    return nil
  }

  /// RFC 9112 §6.1: 501 for a coding that is not known; what merely looks like "chunked" is malformed.
  private static func status(_ coding: ArraySlice<UInt8>) -> Int {
    var at = coding.startIndex
    while at < coding.endIndex {
      if HTTPText.startsIgnoringCase(coding[at...], "chunked") { return 400 }
      at += 1
    }
    return HTTPText.isToken(coding) ? 501 : 400
  }

  /// RFC 9110 §10.1.1. HTTP/1.0 knows no 100, so that it is ignored there.
  private mutating func readExpectation(_ isModern: Bool) -> Refusal? {
    guard isModern, let expectation = head.value(of: "expect") else { return nil }
    if !HTTPText.sameIgnoringCase(expectation, "100-continue") {
      return .badRequest("the request expects \(quoted: expectation); only 100-continue is understood", status: 417)
    }
    expectsContinue = !body.isNothing
    return nil
  }
}
