// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Why a request or an answer can't be built: one sentence without control characters.
package struct UpgradeEncodeFailure: Error, Sendable {
  package let text: String

  package init(text: String) { self.text = text }
}

/// The client's request (RFC 6455 §4.1).
package struct UpgradeRequest: Sendable {
  package var target: String
  package var hostHeader: String
  /// 16 random bytes, new for each connection.
  package var key: [UInt8]
  package var subprotocols: [String]
  /// The caller's own, behind those of the handshake.
  package var headers: [HTTPHeader]
  package var offerDeflate: DeflateOffer?

  package init(
    target: String, hostHeader: String, key: [UInt8], subprotocols: [String] = [], headers: [HTTPHeader] = [],
    offerDeflate: DeflateOffer? = nil
  ) {
    self.target = target
    self.hostHeader = hostHeader
    self.key = key
    self.subprotocols = subprotocols
    self.headers = headers
    self.offerDeflate = offerDeflate
  }

  package init(
    url: WebSocketURL, key: [UInt8], subprotocols: [String] = [], headers: [HTTPHeader] = [],
    offerDeflate: DeflateOffer? = nil
  ) {
    self.init(
      target: url.target, hostHeader: url.hostHeader, key: key, subprotocols: subprotocols, headers: headers,
      offerDeflate: offerDeflate)
  }

  /// Why the request can't be sent; nil if it is fine.
  package var problem: String? {
    if key.count != 16 { return sentence("the handshake key has \(key.count) bytes instead of 16") }
    if target.bytes.first != UInt8(ascii: "/") { return sentence("the request target does not begin with /") }
    for byte in target.bytes where byte <= 0x20 || byte >= 0x7F || byte == UInt8(ascii: "#") {
      return sentence("the request target has the byte \(byte: byte)")
    }
    if hostHeader.hasNoBytes { return sentence("the Host header is empty") }
    for byte in hostHeader.bytes where byte <= 0x20 || byte >= 0x7F {
      return sentence("the Host header has the byte \(byte: byte)")
    }
    if let problem = HeaderCheck.subprotocolProblem(subprotocols) { return problem }
    if let problem = HeaderCheck.problem(headers) { return problem }
    return offerDeflate?.problem
  }

  /// The bytes to send. Everything in them was checked; nothing is left out or repaired.
  package func encode() -> Result<[UInt8], UpgradeEncodeFailure> {
    if let problem { return .failure(UpgradeEncodeFailure(text: problem)) }
    var writer = HeadWriter()
    writer.add("GET \(target) HTTP/1.1\r\n")
    writer.add("Host", hostHeader)
    writer.add("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ")
    writer.bytes.append(contentsOf: Base64.encode(key))
    writer.add("\r\nSec-WebSocket-Version: 13\r\n")
    if let offerDeflate { writer.add("Sec-WebSocket-Extensions", offerDeflate.headerValue) }
    if !subprotocols.isEmpty {
      writer.add("Sec-WebSocket-Protocol: ")
      for index in subprotocols.indices {
        if index > 0 { writer.add(", ") }
        writer.add("\(subprotocols[index])")
      }
      writer.add("\r\n")
    }
    for header in headers { writer.add(header.name, header.value) }
    writer.add("\r\n")
    return .success(writer.bytes)
  }
}

/// Puts a head together from checked parts.
package struct HeadWriter {
  package var bytes: [UInt8] = []

  package init() { bytes.reserveCapacity(512) }

  @inline(never) package mutating func add(_ text: Sentence) { bytes.append(contentsOf: text.bytes) }

  @inline(never) package mutating func add(_ name: String, _ value: String) { add("\(name): \(value)\r\n") }
}

enum UpgradeKey {
  /// RFC 6455 §4.2.2 item 5.4: what a server answers to a key, both as text.
  static func accept(_ key: [UInt8]) -> [UInt8] {
    Base64.encode(SHA1.digest(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".bytes))
  }
}
