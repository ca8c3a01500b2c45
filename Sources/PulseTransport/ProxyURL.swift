// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Where a proxy is, what it speaks, and who asks.
package final class ProxyURL: Sendable {
  package enum Scheme: UInt8, Sendable {
    case http, https
    /// Names are resolved on this side.
    case socks5
    /// Names are resolved by the proxy.
    case socks5h
  }

  package static let maxSize = 4 << 10

  package let scheme: Scheme
  /// In lower case; an IPv6 address without its brackets.
  package let host: String
  package let port: UInt16
  /// With percent-encoding undone.
  let user: [UInt8]
  let password: [UInt8]
  /// For sentences: "http://host:port", without user and password.
  package let name: String

  fileprivate init(
    _ scheme: Scheme, host: String, port: UInt16, user: [UInt8], password: [UInt8], name: String
  ) {
    self.scheme = scheme
    self.host = host
    self.port = port
    self.user = user
    self.password = password
    self.name = name
  }

  package var hasLogin: Bool { !user.isEmpty }
  package var resolvesHere: Bool { scheme == .socks5 }

  /// The sentence of a failure is a part of one, "its port is not a number from 1 to 65535"; it never quotes the text,
  /// which may hold a password.
  package static func parse(_ text: String) -> Result<ProxyURL, ProxyURLProblem> {
    var reader = ProxyURLReader(bytes: Array(text.bytes.prefix(maxSize + 1)))
    guard let url = reader.read() else { return .failure(ProxyURLProblem(text: reader.problem)) }
    return .success(url)
  }
}

package struct ProxyURLProblem: Error, Sendable {
  package let text: Literal
}

private struct ProxyURLReader {
  let bytes: [UInt8]
  var problem: Literal = ""
  private var scheme = ProxyURL.Scheme.http
  private var port: UInt16 = 80
  /// As log lines have it: without the login.
  private var shown: Sentence = "http://"
  private var user: [UInt8] = []
  private var password: [UInt8] = []

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func read() -> ProxyURL? {
    if bytes.count > ProxyURL.maxSize { return fail("it is longer than 4096 bytes") }
    for byte in bytes where byte <= 0x20 || byte >= 0x7F {
      return fail("it has a space, a control character or one that is not ASCII")
    }
    guard let start = readScheme(), let place = readLogin(from: start), let host = readHost(place) else { return nil }
    return ProxyURL(scheme, host: host, port: port, user: user, password: password, name: sentence(shown))
  }

  /// Where the rest begins.
  private mutating func readScheme() -> Int? {
    var at = 0
    while at < bytes.count, bytes[at] != UInt8(ascii: ":") { at += 1 }
    let hasScheme =
      at + 2 < bytes.count && bytes[at + 1] == UInt8(ascii: "/") && bytes[at + 2] == UInt8(ascii: "/")
    guard hasScheme || isBare else {
      return fail("it does not begin with http://, https://, socks5:// or socks5h://, nor is it host:port")
    }
    if !hasScheme { return 0 }
    if ProxyText.sameIgnoringCase(bytes[..<at], "https") {
      (scheme, port, shown) = (.https, 443, "https://")
    } else if ProxyText.sameIgnoringCase(bytes[..<at], "socks5") {
      (scheme, port, shown) = (.socks5, 1080, "socks5://")
    } else if ProxyText.sameIgnoringCase(bytes[..<at], "socks5h") {
      (scheme, port, shown) = (.socks5h, 1080, "socks5h://")
    } else if !ProxyText.sameIgnoringCase(bytes[..<at], "http") {
      return fail("its scheme is none of http, https, socks5, socks5h")
    }
    return at + 3
  }

  /// Host and port, behind user and password if they are there.
  private mutating func readLogin(from start: Int) -> ArraySlice<UInt8>? {
    var end = start
    while end < bytes.count, !isAuthorityEnd(bytes[end]) { end += 1 }
    if end + 1 < bytes.count || (end < bytes.count && bytes[end] != UInt8(ascii: "/")) {
      return fail("it has something behind host and port; in a user or password write / as %2F, ? as %3F and # as %23")
    }
    let place = bytes[start..<end]
    guard let at = place.lastIndex(of: UInt8(ascii: "@")) else { return place }
    let colon = place[..<at].firstIndex(of: UInt8(ascii: ":")) ?? at
    guard let name = decoded(place[..<colon]), let secret = decoded(place[min(colon + 1, at)..<at]) else {
      return fail("its user or password is not percent-encoded as it has to be, or has a control character")
    }
    (user, password) = (name, secret)
    if user.isEmpty, !password.isEmpty { return fail("it has a password and no user") }
    // RFC 7617 §2: nobody could tell where such a name ends.
    if user.contains(UInt8(ascii: ":")), scheme == .http || scheme == .https {
      return fail("its user has a colon (%3A), which can't be sent")
    }
    // RFC 1929 §2: each is sent behind its length, one byte.
    if user.count > 255 || password.count > 255, scheme == .socks5 || scheme == .socks5h {
      return fail("its user or password is longer than 255 bytes, which SOCKS can't send")
    }
    return place[(at + 1)...]
  }

  private mutating func readHost(_ place: ArraySlice<UInt8>) -> String? {
    var hostEnd: Int
    let isLiteral = place.first == UInt8(ascii: "[")
    if isLiteral {
      guard let close = place.firstIndex(of: UInt8(ascii: "]")) else {
        return fail("its host begins with [ and has no ]")
      }
      hostEnd = close + 1
    } else {
      hostEnd = place.firstIndex(of: UInt8(ascii: ":")) ?? place.endIndex
    }
    if hostEnd < place.endIndex {
      guard place[hostEnd] == UInt8(ascii: ":") else { return fail("it has something behind the ] of its host") }
      let digits = place[(hostEnd + 1)...]
      if !digits.isEmpty {
        guard let number = ProxyText.number(digits, limit: 65535), number > 0 else {
          return fail("its port is not a number from 1 to 65535")
        }
        port = UInt16(truncatingIfNeeded: number)
      }
    }
    var host: [UInt8] = []
    for byte in isLiteral ? place[(place.startIndex + 1)..<(hostEnd - 1)] : place[..<hostEnd] {
      host.append(ProxyText.lower(byte))
    }
    let name = String(bytes: host)
    if isLiteral {
      guard let address = AddressResolver.literal(name, port: port), address.isIPv6, !host.contains(UInt8(ascii: "%"))
      else { return fail("its host is not an IPv6 address") }
      shown.add("[\(name)]:\(port)")
    } else {
      guard isName(host) else { return fail("its host is not a name or an address") }
      shown.add("\(name):\(port)")
    }
    return name
  }

  /// As many environments have it: a host and a port, for HTTP.
  private var isBare: Bool {
    var digits = 0
    while digits < bytes.count, ProxyText.isDigit(bytes[bytes.count - 1 - digits]) { digits += 1 }
    guard digits > 0, digits + 1 < bytes.count, bytes[bytes.count - 1 - digits] == UInt8(ascii: ":") else { return false }
    for byte in bytes where isAuthorityEnd(byte) { return false }
    return true
  }

  private mutating func fail<Value>(_ text: Literal) -> Value? {
    problem = text
    return nil
  }

  private func isAuthorityEnd(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
  }

  /// RFC 1035 §2.3.4, and the underscores that some networks have.
  private func isName(_ host: [UInt8]) -> Bool {
    if host.isEmpty || host.count > 254 || host.first == UInt8(ascii: ".") { return false }
    for byte in host {
      let isFine =
        byte &- UInt8(ascii: "a") < 26 || ProxyText.isDigit(byte) || byte == UInt8(ascii: "-")
        || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      if !isFine { return false }
    }
    return true
  }

  /// Percent-encoding undone; nil if it is wrong or gives a control character.
  private func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    var at = text.startIndex
    while at < text.endIndex {
      var byte = text[at]
      if byte == UInt8(ascii: "%") {
        guard at + 2 < text.endIndex, let high = hex(text[at + 1]), let low = hex(text[at + 2]) else { return nil }
        byte = high << 4 | low
        at += 2
      }
      if byte < 0x20 || byte == 0x7F { return nil }
      out.append(byte)
      at += 1
    }
    return out
  }

  private func hex(_ byte: UInt8) -> UInt8? {
    if ProxyText.isDigit(byte) { return byte &- UInt8(ascii: "0") }
    let letter = ProxyText.lower(byte) &- UInt8(ascii: "a")
    return letter < 6 ? letter &+ 10 : nil
  }
}
