// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseText

/// How far the client's handshake is.
package enum UpgradeProgress {
  /// The whole chunk is used.
  case needMoreBytes
  case accepted(UpgradeAcceptance)
  case refused(UpgradeRefusal)
  case failed(UpgradeFailure)
}

/// A valid 101.
package struct UpgradeAcceptance: Sendable {
  package var subprotocol: String?
  package var deflate: DeflateParameters?
  package var headers: [HTTPHeader]
  /// How many bytes of the chunk that completed the handshake belong to it; the rest are frames.
  package var consumed: Int
}

package enum UpgradeFailureKind: UInt8, Sendable {
  /// Not HTTP/1.1, or not as RFC 9112 says.
  case malformed
  /// The head is larger, or has more headers, than allowed.
  case tooLarge
  /// A 101 that does not answer the request (RFC 6455 §4.1).
  case invalid
  /// The connection ended before the answer did.
  case incomplete
}

package struct UpgradeFailure: Sendable {
  package var kind: UpgradeFailureKind
  /// One sentence, without control characters.
  package var text: String
  /// What came of a 101; 0 and nothing if it was none.
  package var answer: UpgradeRefusal
}

/// An answer with any status but 101.
package struct UpgradeRefusal: Sendable {
  package static let maxBodySize = 4 << 10

  package var status: Int
  /// As the server gave it, mostly empty or the status in words.
  package var reason: String
  package var headers: [HTTPHeader]
  /// The first 4 KiB, as they came but for the framing of chunks.
  package var body: [UInt8]

  /// One sentence: status, reason and hint.
  package var text: String {
    var text: Sentence = "the server refused the upgrade with status \(status)"
    if !reason.hasNoBytes { text.add(" \(quoted: reason.bytes[...])") }
    let hint = hint
    if !hint.hasNoBytes { text.add(": \(hint)") }
    return sentence(text)
  }

  /// Seconds to wait before the next attempt, from a Retry-After header (RFC 9110 §10.2.3): a number, or a date, for
  /// which `now` is the time in seconds since 1970. Nil if there is none, or neither.
  package func retryAfter(now: Int64) -> Int? {
    for header in headers where HTTPText.sameIgnoringCase(header.name.bytes[...], "retry-after") {
      let value = header.value.bytes
      if let seconds = HTTPText.decimal(value[...], limit: Int(Int32.max)) { return seconds }
      guard let date = HTTPDate.seconds(value) else { return nil }
      return max(0, min(Int(truncatingIfNeeded: date &- now), Int(Int32.max)))
    }
    return nil
  }

  private static let excerptSize = 160

  /// The start of a body that is text or JSON by its looks, on one line and without what steers a terminal; empty for other bodies, and
  /// for one that repeats a word of `sent`, the request, that is not `shown` anyway: it may be a key.
  package func excerpt(sent: [UInt8], shown: [UInt8]) -> Sentence {
    if body.isEmpty || pulse_repeats(body, body.count, sent, sent.count, shown, shown.count) != 0 { return "" }
    var line = [UInt8](repeating: 0, count: Self.excerptSize)
    let count = pulse_excerpt(body, body.count, &line, line.count)
    return Sentence(line[..<count])
  }

  /// The usual cause, from the status and from what is typical of a plain HTTP request on a TLS port.
  package var hint: String {
    if status == 400, mentionsPlainHTTP {
      return "the port expects TLS; use wss:// instead of ws://"
    }
    return Self.hint(status)
  }

  /// The usual cause of a status; empty if there is nothing to say beyond the status.
  package static func hint(_ status: Int) -> String {
    switch status {
    case 200...299: "the server answers plain HTTP here; check the path, or whether a proxy strips the Upgrade header"
    case 300...399: "the server redirects, which is not followed; use the URL in its Location header"
    case 400: "the server does not take the request; check host, path, subprotocols and headers, or a proxy in between"
    case 401: "credentials or token are missing, wrong or expired"
    case 403: "the path is unknown to the server, or it does not allow this origin, token or address"
    case 404: "the server does not know the path"
    case 405: "the path does not take GET; it may not be a WebSocket endpoint"
    case 407: "the proxy asks for credentials"
    case 408: "the server waited too long for the request"
    case 410: "the endpoint was removed"
    case 421: "the server does not serve this host name; check the Host header and the address"
    case 426: "the server asks for another protocol or WebSocket version, or a proxy strips the Upgrade header"
    case 429: "too many requests or connections; wait as long as Retry-After says"
    case 431: "the server finds the headers too large"
    case 451: "the server refuses for legal reasons, often by country"
    case 500: "the server failed while it handled the request"
    case 501, 505: "the server does not support WebSocket over HTTP/1.1 here"
    case 502: "a proxy got no valid answer from the server behind it"
    case 503: "the service is overloaded or down for maintenance; wait as long as Retry-After says"
    case 504: "a proxy waited too long for the server behind it"
    case 520...530: "a proxy could not reach the server behind it"
    case 500...599: "the server failed"
    default: ""
    }
  }

  /// nginx, Apache and Go's server each say so in their own words.
  private var mentionsPlainHTTP: Bool {
    contains("plain http request was sent to https port") || contains("speaking plain http to an ssl-enabled")
      || contains("sent an http request to an https server")
  }

  /// Searches the body, ignoring case.
  private func contains(_ text: Literal) -> Bool {
    var at = 0
    while at + text.count <= body.count {
      if HTTPText.startsIgnoringCase(body[at...], text) { return true }
      at += 1
    }
    return false
  }
}
