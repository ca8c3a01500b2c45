// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Where a redirect leads.
extension WebSocketURL {
  /// Whether both name the same scheme, host and port (RFC 6454 §4): what belongs to one may go to the other.
  @inline(never) package func hasSameOrigin(as other: WebSocketURL) -> Bool {
    isSecure == other.isSecure && port == other.port && HTTPText.same(host.bytes[...], other.host)
  }

  /// Whether both make the same request.
  @inline(never) package func isSameRequest(as other: WebSocketURL) -> Bool {
    hasSameOrigin(as: other) && HTTPText.same(target.bytes[...], other.target)
  }

  /// The statuses that lead elsewhere with a Location header (RFC 9110 §15.4).
  package static func isRedirect(status: Int) -> Bool {
    switch status {
    case 301, 302, 303, 307, 308: true
    default: false
    }
  }

  /// The URL that a Location header means in an answer to this one (RFC 3986 §5.2): absolute with ws, wss, http or https
  /// (which stand for ws and wss here), or relative. The sentence of a failure says what is wrong with it.
  @inline(never) package func resolving(location: String) -> Result<WebSocketURL, URLFailure> {
    var text = location.bytes
    if text.count > WebSocketURL.maxSize { return .failure(URLFailure(text: sentence("its Location is too long"))) }
    for byte in text where byte < 0x20 || byte == 0x7F {
      return .failure(URLFailure(text: sentence("its Location has the control character \(byte: byte)")))
    }
    // RFC 9110 §10.2.2: a fragment is for the one who reads the page.
    if let fragment = text.firstIndex(of: UInt8(ascii: "#")) { text.removeLast(text.count - fragment) }

    var isSecure = self.isSecure
    var rest = text[...]
    if let colon = WebSocketURL.schemeEnd(rest) {
      let scheme = rest[..<colon]
      if HTTPText.sameIgnoringCase(scheme, "wss") || HTTPText.sameIgnoringCase(scheme, "https") {
        isSecure = true
      } else if HTTPText.sameIgnoringCase(scheme, "ws") || HTTPText.sameIgnoringCase(scheme, "http") {
        isSecure = false
      } else {
        return .failure(URLFailure(text: sentence("its Location has the scheme \(quoted: scheme, limit: 32)")))
      }
      rest = rest[(colon + 1)...]
      if !WebSocketURL.beginsWithSlashes(rest) {
        return .failure(URLFailure(text: sentence("its Location has a scheme and no // behind it")))
      }
    }
    if self.isSecure, !isSecure {
      return .failure(URLFailure(text: sentence("it leads from wss to ws, which would give away what TLS protects")))
    }

    var url = (isSecure ? "wss://" : "ws://").bytes
    var path: ArraySlice<UInt8>
    if WebSocketURL.beginsWithSlashes(rest) {
      rest = rest.dropFirst(2)
      let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
      if rest[..<end].contains(UInt8(ascii: "@")) {
        return .failure(URLFailure(text: sentence("its Location has a user or password")))
      }
      url.append(contentsOf: rest[..<end])
      path = rest[end...]
    } else {
      url.append(contentsOf: hostHeader.bytes)
      path = merged(rest)
    }
    let query = path.firstIndex(of: UInt8(ascii: "?")) ?? path.endIndex
    url.append(contentsOf: WebSocketURL.withoutDots(path[..<query]))
    url.append(contentsOf: path[query...])
    switch WebSocketURL.parse(String(bytes: url)) {
    case .failure(let problem): return .failure(URLFailure(text: sentence("its Location is not valid: \(problem.text)")))
    case .success(let url): return .success(url)
    }
  }

  /// RFC 3986 §3.1: nil if there is none.
  private static func schemeEnd(_ text: ArraySlice<UInt8>) -> Int? {
    guard let first = text.first, HTTPText.lower(first) &- UInt8(ascii: "a") < 26 else { return nil }
    var at = text.startIndex
    while at < text.endIndex {
      let byte = text[at]
      if byte == UInt8(ascii: ":") { return at }
      let isFine =
        HTTPText.lower(byte) &- UInt8(ascii: "a") < 26 || HTTPText.isDigit(byte) || byte == UInt8(ascii: "+")
        || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
      if !isFine { return nil }
      at += 1
    }
    return nil
  }

  private static func beginsWithSlashes(_ text: ArraySlice<UInt8>) -> Bool {
    text.count >= 2 && text[text.startIndex] == UInt8(ascii: "/") && text[text.startIndex + 1] == UInt8(ascii: "/")
  }

  /// RFC 3986 §5.2.2 and §5.2.3: path and query of a reference without an authority.
  private func merged(_ reference: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    if reference.first == UInt8(ascii: "/") { return reference }
    let own = target.bytes
    if reference.isEmpty { return own[...] }
    var end = own.firstIndex(of: UInt8(ascii: "?")) ?? own.count
    if reference.first != UInt8(ascii: "?") {
      while end > 0, own[end - 1] != UInt8(ascii: "/") { end -= 1 }
    }
    return ([UInt8](own[..<end]) + [UInt8](reference))[...]
  }

  /// RFC 3986 §5.2.4.
  private static func withoutDots(_ path: ArraySlice<UInt8>) -> [UInt8] {
    let slash = UInt8(ascii: "/")
    var out: [UInt8] = []
    var at = path.startIndex
    while at < path.endIndex {
      // A part with the slash before it.
      var end = at + 1
      while end < path.endIndex, path[end] != slash { end += 1 }
      let part = path[at..<end]
      at = end
      if HTTPText.same(part, "/.") || HTTPText.same(part, "/..") {
        if part.count == 3 {
          while let last = out.popLast(), last != slash {}
        }
        // What it stood for is a folder.
        if at == path.endIndex { out.append(slash) }
      } else {
        out.append(contentsOf: part)
      }
    }
    return out
  }
}
