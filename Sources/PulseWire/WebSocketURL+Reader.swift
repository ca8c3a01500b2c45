// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Takes a URL apart (RFC 3986 §3) and says in one sentence what is wrong with the first part that is not as it has to
/// be. Sentences quote only the part at fault, since user, password, path and query may hold secrets.
struct URLReader {
  let bytes: [UInt8]

  func read(_ problem: inout String) -> WebSocketURL? {
    guard checkBytes(&problem), let (isSecure, authorityStart) = scheme(&problem) else { return nil }

    var authorityEnd = authorityStart
    while authorityEnd < bytes.count, !isAuthorityEnd(bytes[authorityEnd]) { authorityEnd += 1 }
    guard let (target, pathCount) = target(from: authorityEnd, &problem) else { return nil }

    var hostStart = authorityStart
    var credentials: (user: String, password: String)?
    if let at = bytes[authorityStart..<authorityEnd].lastIndex(of: UInt8(ascii: "@")) {
      guard userInfo(bytes[authorityStart..<at], &credentials, &problem) else { return nil }
      hostStart = at + 1
    }
    var place = Place(host: [], isIPv6: false, port: isSecure ? 443 : 80)
    guard hostAndPort(bytes[hostStart..<authorityEnd], &place, &problem) else {
      // A / or ? in a password that is not percent-encoded ends the host early. What was then taken for host and port
      // is user and password, which no sentence may quote.
      if target.contains(UInt8(ascii: "@")) {
        problem = sentence("the URL's host or port is not valid; in a user or password write / as %2F and ? as %3F")
      }
      return nil
    }
    return WebSocketURL(
      isSecure: isSecure, host: place.host, isIPv6Literal: place.isIPv6, port: place.port, target: target,
      pathCount: pathCount, credentials: credentials)
  }

  private struct Place {
    var host: [UInt8]
    var isIPv6: Bool
    var port: UInt16
  }

  /// `place` comes with the default port.
  private func hostAndPort(_ text: ArraySlice<UInt8>, _ place: inout Place, _ problem: inout String) -> Bool {
    var portStart = text.startIndex
    if text.first == UInt8(ascii: "[") {
      guard let close = text.firstIndex(of: UInt8(ascii: "]")) else {
        problem = sentence("the URL's host begins with [ and has no ]")
        return false
      }
      let address = text[(text.startIndex + 1)..<close]
      guard HostName.isIPv6(address) else {
        problem =
          address.contains(UInt8(ascii: "%"))
          ? sentence("the URL's IPv6 address \(quoted: address) has a zone, which is not supported")
          : sentence("the URL's host \(quoted: address) is not an IPv6 address")
        return false
      }
      place.isIPv6 = true
      place.host = address.map { HTTPText.lower($0) }
      portStart = close + 1
    } else {
      portStart = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
      guard let name = HostName.checked(text[..<portStart], &problem) else { return false }
      place.host = name
    }
    if portStart < text.endIndex {
      guard let port = port(text[portStart...], standard: place.port, &problem) else { return false }
      place.port = port
    }
    return true
  }

  private func isAuthorityEnd(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
  }

  // MARK: Parts

  /// What no part may have: the bytes that could end the request line, and those that RFC 3986 §2 leaves out of URLs.
  private func checkBytes(_ problem: inout String) -> Bool {
    if bytes.isEmpty {
      problem = sentence("the URL is empty; it has to be like wss://host/path")
      return false
    }
    if bytes.count > WebSocketURL.maxSize {
      problem = sentence("the URL is longer than \(WebSocketURL.maxSize) bytes")
      return false
    }
    var index = 0
    for byte in bytes {
      switch byte {
      case 0...0x1F, 0x7F:
        problem = sentence("the URL has the control character \(byte: byte) at index \(index)")
        return false
      case 0x20:
        problem = sentence("the URL has a space at index \(index); write it as %20")
        return false
      case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"):
        problem = sentence(
          "the URL has the character \(character: byte) at index \(index), which has to be percent-encoded")
        return false
      case 0x80...:
        problem = sentence(
          """
          the URL has the byte \(byte: byte) at index \(index); what is not ASCII has to be percent-encoded, or written \
          as xn--... in a host name
          """)
        return false
      default:
        index += 1
      }
    }
    return true
  }

  private func scheme(_ problem: inout String) -> (isSecure: Bool, end: Int)? {
    var colon = 0
    while colon < bytes.count, HTTPText.isToken(bytes[colon]) { colon += 1 }
    let hasSlashes =
      colon + 2 < bytes.count && bytes[colon] == UInt8(ascii: ":") && bytes[colon + 1] == UInt8(ascii: "/")
      && bytes[colon + 2] == UInt8(ascii: "/")
    let name = bytes[..<colon]
    if hasSlashes {
      if HTTPText.sameIgnoringCase(name, "ws") { return (false, colon + 3) }
      if HTTPText.sameIgnoringCase(name, "wss") { return (true, colon + 3) }
      if HTTPText.sameIgnoringCase(name, "http") {
        problem = sentence("the URL begins with http://; a WebSocket URL begins with ws:// instead")
      } else if HTTPText.sameIgnoringCase(name, "https") {
        problem = sentence("the URL begins with https://; a WebSocket URL begins with wss:// instead")
      } else {
        problem = sentence("the URL has the scheme \(quoted: name, limit: 32); allowed are ws:// and wss://")
      }
    } else {
      problem = sentence("the URL does not begin with ws:// or wss://")
    }
    return nil
  }

  /// RFC 6455 §3: the resource name, "/" for an empty path, and "?" with the query.
  private func target(from start: Int, _ problem: inout String) -> (target: [UInt8], pathCount: Int)? {
    var target: [UInt8] = []
    target.reserveCapacity(bytes.count - start + 1)
    if start >= bytes.count || bytes[start] != UInt8(ascii: "/") { target.append(UInt8(ascii: "/")) }
    var pathCount: Int?
    for index in start..<bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "#"):
        problem = sentence(
          "the URL has a fragment (# at index \(index)), which a WebSocket URL can't have; write # as %23")
        return nil
      case UInt8(ascii: "?"):
        if pathCount == nil { pathCount = target.count }
      case UInt8(ascii: "%"):
        if !isEscape(bytes[index...]) {
          problem = sentence(
            "the URL has a % at index \(index) that two hexadecimal digits don't follow; write % as %25")
          return nil
        }
      default:
        break
      }
      target.append(bytes[index])
    }
    return (target, pathCount ?? target.count)
  }

  private func isEscape(_ rest: ArraySlice<UInt8>) -> Bool {
    guard rest.count >= 3 else { return false }
    let at = rest.startIndex
    return HTTPText.hexValue(rest[at + 1]) != nil && HTTPText.hexValue(rest[at + 2]) != nil
  }

  private func userInfo(
    _ text: ArraySlice<UInt8>, _ credentials: inout (user: String, password: String)?, _ problem: inout String
  ) -> Bool {
    if text.isEmpty { return true }
    if text.contains(UInt8(ascii: "@")) {
      problem = sentence("the URL has more than one @ before the path; write @ in a user or password as %40")
      return false
    }
    let colon = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
    guard let user = decoded(text[..<colon]),
      let password = decoded(colon < text.endIndex ? text[(colon + 1)...] : text[colon...])
    else {
      problem = sentence("the URL's user or password is not valid percent-encoded UTF-8 without control characters")
      return false
    }
    // RFC 7617 §2: nobody could tell where such a user name ends.
    if user.contains(UInt8(ascii: ":")) {
      problem = sentence("the URL's user has a colon (%3A), which can't be sent")
      return false
    }
    credentials = (user: HTTPText.string(user[...]), password: HTTPText.string(password[...]))
    return true
  }

  /// Percent-encoding undone; nil if it is wrong, or if what comes out is not UTF-8 or has control characters
  /// (RFC 7617 §2).
  private func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var at = text.startIndex
    while at < text.endIndex {
      var byte = text[at]
      if byte == UInt8(ascii: "%") {
        guard isEscape(text[at...]), let high = HTTPText.hexValue(text[at + 1]),
          let low = HTTPText.hexValue(text[at + 2])
        else { return nil }
        byte = high << 4 | low
        at += 2
      }
      if byte < 0x20 || byte == 0x7F { return nil }
      out.append(byte)
      at += 1
    }
    return out.withUnsafeBytes { isValidUTF8($0) } ? out : nil
  }

  /// `text` begins behind the host. An empty port is the default one (RFC 3986 §3.2.3).
  private func port(_ text: ArraySlice<UInt8>, standard: UInt16, _ problem: inout String) -> UInt16? {
    guard text.first == UInt8(ascii: ":") else {
      problem = sentence("the URL has \(quoted: text) behind the ] of its host")
      return nil
    }
    let digits = text.dropFirst()
    if digits.isEmpty { return standard }
    guard let port = HTTPText.decimal(digits, limit: 65535), port > 0 else {
      problem = sentence("the URL has the port \(quoted: digits, limit: 32); allowed are 1 to 65535")
      return nil
    }
    return UInt16(port)
  }
}
