// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Why a URL is refused: one sentence without control characters, and without the password.
package struct URLFailure: Error, Sendable {
  package let text: String
}

/// A ws:// or wss:// URL (RFC 6455 §3), checked so that each part can go into a request or a name look-up as it is.
package final class WebSocketURL: Sendable {
  package static let maxSize = 8 << 10

  package let isSecure: Bool
  /// In lower case; an IPv6 address without its brackets.
  package let host: String
  package let isIPv6Literal: Bool
  package let port: UInt16
  /// The value of the Host header: "host", "host:8080", "[::1]:81"; a default port is left out (RFC 6455 §4.1).
  package let hostHeader: String
  /// Path and query, "/" at least.
  package let target: String
  /// User and password with percent-encoding undone.
  package let credentials: (user: String, password: String)?
  /// For logs: scheme, host, port and path, without user, password and query; *** stands for a part of the path that
  /// is a key by its looks, as in the feeds of one account.
  package let redacted: String

  package static func parse(_ text: String) -> Result<WebSocketURL, URLFailure> { parse(text.bytes) }

  package static func parse(_ bytes: UnsafeRawBufferPointer) -> Result<WebSocketURL, URLFailure> {
    // Only as much is copied as shows that it is too long.
    parse(Array(bytes.prefix(maxSize + 1)))
  }

  private static func parse(_ bytes: [UInt8]) -> Result<WebSocketURL, URLFailure> {
    var problem = ""
    guard let url = URLReader(bytes: bytes).read(&problem) else { return .failure(URLFailure(text: problem)) }
    return .success(url)
  }

  init(
    isSecure: Bool, host: [UInt8], isIPv6Literal: Bool, port: UInt16, target: [UInt8], pathCount: Int,
    credentials: (user: String, password: String)?
  ) {
    self.isSecure = isSecure
    self.host = String(bytes: host)
    self.isIPv6Literal = isIPv6Literal
    self.port = port
    var header = isIPv6Literal ? [UInt8(ascii: "[")] + host + [UInt8(ascii: "]")] : host
    if port != (isSecure ? 443 : 80) { header.append(contentsOf: (":\(port)" as Sentence).bytes) }
    hostHeader = String(bytes: header)
    self.target = String(bytes: target)
    self.credentials = credentials
    let scheme: Literal = isSecure ? "wss://" : "ws://"
    redacted = sentence("\(scheme)\(Sentence(header[...]))\(Sentence(WebSocketURL.withoutKeys(target[..<pathCount])[...]))")
  }

  /// A part of 32 or more letters and digits is no name.
  private static func withoutKeys(_ path: ArraySlice<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    var start = path.startIndex
    while start < path.endIndex {
      var end = start + 1
      var looksLikeKey = true
      while end < path.endIndex && path[end] != UInt8(ascii: "/") {
        let byte = path[end]
        let isWord = HTTPText.isDigit(byte) || HTTPText.lower(byte) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "-")
        if !isWord && byte != UInt8(ascii: "_") { looksLikeKey = false }
        end += 1
      }
      if looksLikeKey && end - start > 32 {
        out.append(contentsOf: [UInt8(ascii: "/"), UInt8(ascii: "*"), UInt8(ascii: "*"), UInt8(ascii: "*")])
      } else {
        out.append(contentsOf: path[start..<end])
      }
      start = end
    }
    return out
  }
}
