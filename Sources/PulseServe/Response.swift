// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Writes the head of an answer from checked parts.
struct AnswerHead {
  private var writer = HeadWriter()
  private let keepsAlive: Bool
  /// Names websocket as what the server would rather speak.
  var asksForUpgrade = false

  /// `date` in seconds since 1970.
  @inline(never) init(status: Int, date: Int64?, keepsAlive: Bool) {
    self.keepsAlive = keepsAlive
    writer.add("HTTP/1.1 \(status) \(HTTPReason.text(status))\r\n")
    if let date {
      writer.add("Date: ")
      writer.bytes.append(contentsOf: HTTPDate.text(date))
      writer.add("\r\n")
    }
  }

  /// With a label, since a literal of text would be a String where both fit.
  @inline(never) mutating func add(own name: Literal, _ value: Literal) { writer.add("\(name): \(value)\r\n") }

  @inline(never) mutating func add(_ headers: [HTTPHeader]) {
    for header in headers { writer.add(header.name, header.value) }
  }

  /// The length nil: an answer that never has a body.
  @inline(never) mutating func finish(length: Int64?) -> [UInt8] {
    if let length { writer.add("Content-Length: \(Int(truncatingIfNeeded: length))\r\n") }
    // RFC 9110 §7.8: what names Upgrade has to be listed.
    if asksForUpgrade { writer.add("Upgrade: websocket\r\n") }
    writer.add("Connection: \(asksForUpgrade ? Literal("Upgrade, ") : Literal(""))")
    // HTTP/1.0 has to be told that it goes on.
    writer.add(keepsAlive ? "keep-alive\r\n\r\n" : "close\r\n\r\n")
    return writer.bytes
  }
}

/// A whole answer to a request, or its head with the body to follow.
package final class Response {
  package var status: Int
  /// A Content-Type or Date among them takes the place of the one that would be written.
  package var headers: [HTTPHeader]
  package var contentType: Literal
  package var body: [UInt8]

  @inline(never) package init(
    _ status: Int, contentType: Literal = "text/plain; charset=utf-8", headers: [HTTPHeader] = [], body: [UInt8] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.headers = headers
    self.body = body
  }

  /// "HTTP/1.1 100 Continue": what an owner writes who wants the body of a request that waits for it.
  package static var goOn: Literal { "HTTP/1.1 100 Continue\r\n\r\n" }

  /// Why it can't be sent; nil if it is fine. For what an application made.
  @inline(never) package var problem: String? {
    if !(200...599).contains(status) { return sentence("status \(status) is no answer; allowed are 200 to 599") }
    if Self.hasNoBody(status), !body.isEmpty { return sentence("an answer with status \(status) has no body") }
    return HeaderCheck.problem(headers)
  }

  /// To a HEAD the same head goes out without the body (RFC 9110 §9.3.2).
  @inline(never) package func encode(to request: Request, date: Int64, keepsAlive: Bool = true) -> Result<[UInt8], UpgradeEncodeFailure> {
    if let problem { return .failure(UpgradeEncodeFailure(text: problem)) }
    var bytes = encodeHead(to: request, length: Int64(body.count), date: date, keepsAlive: keepsAlive)
    if !request.isHead { bytes.append(contentsOf: body) }
    return .success(bytes)
  }

  /// The head alone, of an answer whose `length` bytes follow: files. Everything in it was checked.
  @inline(never) func encodeHead(to request: Request, length: Int64, date: Int64, keepsAlive: Bool) -> [UInt8] {
    let hasBody = !Self.hasNoBody(status)
    var hasType = !hasBody || (length == 0 && status != 200)
    var hasDate = false
    for header in headers {
      let name = header.name.bytes[...]
      hasType = hasType || HTTPText.sameIgnoringCase(name, "content-type")
      hasDate = hasDate || HTTPText.sameIgnoringCase(name, "date")
    }
    var head = AnswerHead(status: status, date: hasDate ? nil : date, keepsAlive: keepsAlive && request.keepsAlive)
    if !hasType, !contentType.isEmpty { head.add(own: "Content-Type", contentType) }
    head.add(headers)
    return head.finish(length: hasBody ? length : nil)
  }

  /// RFC 9110 §6.4.1.
  private static func hasNoBody(_ status: Int) -> Bool { status == 204 || status == 304 }
}
