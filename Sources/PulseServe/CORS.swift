// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Which pages of other origins may read answers, and open a WebSocket (RFC 6454; the Fetch standard).
package struct CORS {
  private static let maxAge: Literal = "600"

  /// In lower case.
  private var allowed: [[UInt8]] = []
  package private(set) var allowsAll = false

  package init() {}

  /// Adds "https://host", "https://host:port" or "*". The result says why it can't be added; nil if it was.
  @inline(never) package mutating func allow(_ origin: [UInt8]) -> String? {
    if HTTPText.same(origin[...], Literal("*")) {
      allowsAll = true
      return nil
    }
    var lower: [UInt8] = []
    for byte in origin { lower.add(HTTPText.lower(byte)) }
    // As browsers write it: scheme and host, a port that is not the scheme's own, and nothing behind.
    let scheme = HTTPText.startsIgnoringCase(lower[...], "https://") ? 8 : HTTPText.startsIgnoringCase(lower[...], "http://") ? 7 : 0
    if scheme == 0 || !RequestRules.isHost(lower[scheme...]) {
      return sentence("the origin \(quoted: origin[...]) is not like https://host or https://host:port")
    }
    let ownPort: Literal = scheme == 8 ? ":443" : ":80"
    if lower.count > ownPort.count, HTTPText.same(lower[(lower.count - ownPort.count)...], ownPort) { lower.removeLast(ownPort.count) }
    allowed.append(lower)
    return nil
  }

  /// Compared as a whole. "null" is no origin: sandboxed pages of anybody have it.
  @inline(never) package func allows(_ origin: ArraySlice<UInt8>) -> Bool {
    if origin.isEmpty || HTTPText.same(origin, Literal("null")) { return false }
    if allowsAll { return true }
    for one in allowed where HTTPText.same(origin, one[...]) { return true }
    return false
  }

  /// Those of an answer. An answer that differs by origin says so to caches, also where it has none.
  @inline(never) package func headers(for origin: ArraySlice<UInt8>?) -> [HTTPHeader] {
    if allowsAll { return [(name: "Access-Control-Allow-Origin", value: "*")] }
    if allowed.isEmpty { return [] }
    var headers: [HTTPHeader] = [(name: "Vary", value: "Origin")]
    if let origin, allows(origin) {
      headers.add("Access-Control-Allow-Origin", HTTPText.string(origin))
    }
    return headers
  }

  /// The answer to a preflight; nil if the request is none. `methods` are those of the path.
  @inline(never) package func preflight(_ request: Request, methods: Methods) -> Result<Response, Refusal>? {
    guard request.method == .options, let origin = request.origin, let asked = request.header("access-control-request-method")
    else { return nil }
    if !allows(origin) { return .failure(.originForbidden(origin)) }
    let method = Methods(name: asked)
    if method == .other || !methods.contains(method) {
      return .failure(
        Refusal(
          405, "method_not_allowed", "the method \(quoted: asked) is not allowed for this path; allowed are: \(methods.list)",
          headers: [(name: "Allow", value: sentence(methods.list))]))
    }
    var headers = headers(for: origin)
    headers.add("Access-Control-Allow-Methods", sentence(methods.list))
    headers.add("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Range")
    headers.add("Access-Control-Max-Age", sentence("\(Self.maxAge)"))
    return .success(Response(204, headers: headers))
  }
}
