// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// One HTTP request, whole: what `RequestParser` gives.
package final class Request {
  package let head: HTTPHead
  /// One of `Methods`.
  package let method: Methods
  /// Decoded and without dot segments; begins with "/". "*" for an OPTIONS of the whole server.
  package let path: [UInt8]
  /// As it came, without the question mark.
  package let query: Query
  /// Whether another request may follow. False for an upgrade: what is behind it are frames, or what the client believed
  /// to be frames.
  package let keepsAlive: Bool
  /// Asks for an upgrade to websocket; whether it does so as it has to, `UpgradeOffer` says.
  package let isUpgrade: Bool
  package internal(set) var body: [UInt8] = []

  init(head: HTTPHead, method: Methods, path: [UInt8], query: Query, keepsAlive: Bool, isUpgrade: Bool) {
    self.head = head
    self.method = method
    self.path = path
    self.query = query
    self.keepsAlive = keepsAlive
    self.isUpgrade = isUpgrade
  }

  package var isHead: Bool { method == .head }

  package var methodName: ArraySlice<UInt8> { head.bytes[head.method] }

  /// As it came.
  package var target: ArraySlice<UInt8> { head.bytes[head.target] }

  /// The value of the first header of that name, which is in lower case.
  @inline(never) package func header(_ name: Literal) -> ArraySlice<UInt8>? { head.value(of: name) }

  /// There is at most one.
  package var origin: ArraySlice<UInt8>? { header("origin") }

  /// As it came, of the first Cookie header (RFC 6265 §5.4: a client sends one).
  package var cookies: ArraySlice<UInt8>? { header("cookie") }

  /// The token of "Authorization: Bearer token" (RFC 6750 §2.1); nil if there is none, or another scheme.
  package var bearer: ArraySlice<UInt8>? {
    guard let value = header("authorization"), HTTPText.startsIgnoringCase(value, "bearer ") else { return nil }
    let token = HTTPText.trimmed(value.dropFirst(7))
    for byte in token where byte <= 0x20 || byte >= 0x7F { return nil }
    return token.isEmpty ? nil : token
  }

  /// The value of a cookie, without quotation marks around it; the first one of that name.
  package func cookie(_ name: Literal) -> ArraySlice<UInt8>? {
    guard let cookies else { return nil }
    for pair in Pieces(cookies, separator: UInt8(ascii: ";")) {
      let pair = HTTPText.trimmed(pair)
      guard let equal = pair.firstIndex(of: UInt8(ascii: "=")), HTTPText.same(pair[..<equal], name) else { continue }
      let value = pair[(equal + 1)...]
      if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
        return value.dropFirst().dropLast()
      }
      return value
    }
    return nil
  }
}

/// The parts between separators, one after the other.
package struct Pieces: Sequence, IteratorProtocol {
  private let bytes: ArraySlice<UInt8>
  private let separator: UInt8
  private var at: Int

  package init(_ bytes: ArraySlice<UInt8>, separator: UInt8) {
    self.bytes = bytes
    self.separator = separator
    at = bytes.startIndex
  }

  @inline(never) package mutating func next() -> ArraySlice<UInt8>? {
    if at > bytes.endIndex { return nil }
    var end = at
    while end < bytes.endIndex, bytes[end] != separator { end += 1 }
    defer { at = end + 1 }
    return bytes[at..<end]
  }
}
