// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What a caller may put into the head of the upgrade. Nothing is repaired: what can't go out as it is, is refused.
package enum HeaderCheck {
  /// All headers of one request or answer together, as they stand on the wire.
  package static let maxTotalSize = 64 << 10
  package static let maxCount = 128

  /// Why a caller's header is refused; nil if it is fine. The sentence names the header, never its value: values hold
  /// secrets.
  package static func headerProblem(name: String, value: String) -> String? {
    let nameBytes = name.bytes
    if nameBytes.isEmpty { return sentence("a header has an empty name") }
    // RFC 9110 §5.1: a name is a token. A CR, LF or colon here would begin a header of its own.
    for byte in nameBytes where !HTTPText.isToken(byte) {
      return sentence(
        """
        header name \(quoted: nameBytes[...]) has the byte \(byte: byte); allowed are letters, digits and \
        !#$%&'*+-.^_`|~
        """)
    }
    if isOwned(nameBytes[...]) {
      return sentence("header \(quoted: nameBytes[...]) is set by the library itself and can't be given")
    }
    // RFC 9110 §11.7.2: it is for the next proxy; in the request inside of the tunnel the server would get it.
    if HTTPText.sameIgnoringCase(nameBytes[...], "proxy-authorization") {
      return sentence(
        "header \(quoted: nameBytes[...]) would go to the server; a proxy gets user and password from the URL in option proxy")
    }
    var index = 0
    for byte in value.bytes {
      // RFC 9110 §5.5: CR, LF and NUL would let a value end the header; other controls have no place either.
      if !HTTPText.isFieldText(byte) {
        return sentence(
          """
          the value of header \(quoted: nameBytes[...]) has the byte \(byte: byte) at index \(index); control \
          characters are not allowed
          """)
      }
      index += 1
    }
    if nameBytes.count + index + 4 > maxTotalSize {
      return sentence(
        "header \(quoted: nameBytes[...]) has \(index) bytes; all headers together may have \(maxTotalSize)")
    }
    return nil
  }

  /// The same for all headers at once, with their number and total size.
  package static func problem(_ headers: [HTTPHeader]) -> String? {
    if headers.count > maxCount {
      return sentence("\(headers.count) headers are given; at most \(maxCount) are allowed")
    }
    var total = 0
    for header in headers {
      if let problem = headerProblem(name: header.name, value: header.value) { return problem }
      total += header.name.byteCount + header.value.byteCount + 4
    }
    if total > maxTotalSize {
      return sentence("the headers have \(total) bytes; together they may have \(maxTotalSize)")
    }
    return nil
  }

  /// Why a list of subprotocols is refused; nil if it is fine (RFC 6455 §4.1: tokens, each once).
  package static func subprotocolProblem(_ names: [String]) -> String? {
    if names.count > maxCount {
      return sentence("\(names.count) subprotocols are given; at most \(maxCount) are allowed")
    }
    var index = 0
    var total = 0
    for name in names {
      let bytes = name.bytes
      if !HTTPText.isToken(bytes[...]) {
        return sentence("subprotocol \(quoted: bytes[...]) is not a token: letters, digits and !#$%&'*+-.^_`|~")
      }
      for other in names[..<index] where HTTPText.same(bytes[...], other) {
        return sentence("subprotocol \(quoted: bytes[...]) is given twice")
      }
      total += bytes.count + 2
      index += 1
    }
    if total > maxTotalSize {
      return sentence("the subprotocols have \(total) bytes; together they may have \(maxTotalSize)")
    }
    return nil
  }

  /// Headers that the handshake writes, and those that would announce a body or wait for one.
  private static func isOwned(_ name: ArraySlice<UInt8>) -> Bool {
    HTTPText.sameIgnoringCase(name, "host") || HTTPText.sameIgnoringCase(name, "upgrade")
      || HTTPText.sameIgnoringCase(name, "connection") || HTTPText.startsIgnoringCase(name, "sec-websocket-")
      || HTTPText.sameIgnoringCase(name, "content-length") || HTTPText.sameIgnoringCase(name, "transfer-encoding")
      || HTTPText.sameIgnoringCase(name, "expect") || HTTPText.sameIgnoringCase(name, "te")
      || HTTPText.sameIgnoringCase(name, "trailer")
  }
}
