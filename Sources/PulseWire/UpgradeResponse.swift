// SPDX-License-Identifier: Apache-2.0
import PulseText

/// The server's answers (RFC 6455 §4.2.2).
package enum UpgradeResponse {
  /// A 101. `deflateAnswer` is the text that `negotiateDeflate` gave.
  package static func accept(
    _ request: UpgradeRequestInfo, subprotocol: String? = nil, deflateAnswer: String? = nil, headers: [HTTPHeader] = []
  ) -> Result<[UInt8], UpgradeEncodeFailure> {
    if let problem = HeaderCheck.problem(headers) { return .failure(UpgradeEncodeFailure(text: problem)) }
    // §4.2.2: one of those the client asked for.
    if let subprotocol, !request.subprotocols.contains(where: { HTTPText.same(subprotocol.bytes[...], $0) }) {
      return .failure(
        UpgradeEncodeFailure(
          text: sentence("the client did not ask for subprotocol \(quoted: subprotocol.bytes[...])")))
    }
    if let deflateAnswer {
      for byte in deflateAnswer.bytes where !HTTPText.isFieldText(byte) {
        return .failure(UpgradeEncodeFailure(text: sentence("the extension answer has the byte \(byte: byte)")))
      }
    }
    var writer = HeadWriter()
    writer.add("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.add("Sec-WebSocket-Accept", request.accept)
    if let deflateAnswer { writer.add("Sec-WebSocket-Extensions", deflateAnswer) }
    if let subprotocol { writer.add("Sec-WebSocket-Protocol", subprotocol) }
    for header in headers { writer.add(header.name, header.value) }
    writer.add("\r\n")
    return .success(writer.bytes)
  }

  /// Any other status, 300 to 599, with a body of text. The connection is to be closed behind it.
  package static func reject(
    status: Int, headers: [HTTPHeader] = [], body: [UInt8] = []
  ) -> Result<[UInt8], UpgradeEncodeFailure> {
    if !(300...599).contains(status) {
      return .failure(UpgradeEncodeFailure(text: sentence("status \(status) is not a refusal; allowed are 300 to 599")))
    }
    if let problem = HeaderCheck.problem(headers) { return .failure(UpgradeEncodeFailure(text: problem)) }
    return .success(encode(status: status, headers: headers, body: body))
  }

  /// The answer to a request that could not be taken; nil when the peer would not understand one.
  package static func reject(_ failure: UpgradeRequestFailure) -> [UInt8]? {
    if failure.status == 0 { return nil }
    return encode(status: failure.status, headers: failure.headers, body: ("\(failure.text)\n" as Sentence).bytes)
  }

  private static func encode(status: Int, headers: [HTTPHeader], body: [UInt8]) -> [UInt8] {
    var writer = HeadWriter()
    writer.add("HTTP/1.1 \(status) \(HTTPReason.text(status))\r\n")
    var hasConnection = false
    var hasType = false
    for header in headers {
      let name = header.name.bytes[...]
      hasType = hasType || HTTPText.sameIgnoringCase(name, "content-type")
      // RFC 9110 §7.8: what names Upgrade has to be listed, and close ends the connection all the same.
      if HTTPText.sameIgnoringCase(name, "connection") {
        hasConnection = true
        writer.add("Connection: \(header.value), close\r\n")
      } else {
        writer.add(header.name, header.value)
      }
    }
    if !hasConnection { writer.add("Connection: close\r\n") }
    if !body.isEmpty, !hasType { writer.add("Content-Type: text/plain; charset=utf-8\r\n") }
    writer.add("Content-Length: \(body.count)\r\n\r\n")
    writer.bytes.append(contentsOf: body)
    return writer.bytes
  }
}
