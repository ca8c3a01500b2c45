// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Why a request is not served, in the words of HTTP and of WebSocket at once: a browser sees neither status nor body of
/// a refused upgrade, so that the same may be said in band, with a close code behind it.
package final class Refusal: Error {
  /// 400 to 599, or 301 to 308; 0 when the peer does not speak HTTP/1 and is to be left without an answer.
  package let status: Int
  /// For programs: a word that stays the same.
  package let code: Literal
  /// For people: one sentence of printable ASCII. It has no query, no header's value and no token.
  package let message: Sentence
  /// Those that belong to the status, but for Upgrade and Connection.
  package let headers: [HTTPHeader]
  /// What a WebSocket is closed with when the refusal is explained in band; 0 where that makes no sense.
  package let closeCode: UInt16
  /// The connection can't go on behind it.
  package let closes: Bool

  @inline(never) package init(
    _ status: Int, _ code: Literal, _ message: Sentence, headers: [HTTPHeader] = [], closeCode: UInt16 = 0,
    closes: Bool = false
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.headers = headers
    self.closeCode = closeCode
    self.closes = closes
  }

  // MARK: The usual ones

  /// What is wrong with the message itself: nothing behind it can be trusted.
  @inline(never) package static func badRequest(_ message: Sentence, status: Int = 400) -> Refusal {
    Refusal(status, code(of: status), message, closes: true)
  }

  @inline(never) package static func noSuchPath(_ message: Sentence) -> Refusal {
    Refusal(404, "no_such_path", message, closeCode: CloseCode.noSuchPath)
  }

  @inline(never) package static func originForbidden(_ origin: ArraySlice<UInt8>?) -> Refusal {
    guard let origin else {
      return Refusal(403, "origin_forbidden", "the request has no Origin header and no bearer token", closeCode: CloseCode.forbidden)
    }
    return Refusal(
      403, "origin_forbidden", "the origin \(quoted: origin, limit: 200) is not allowed here", closeCode: CloseCode.forbidden)
  }

  @inline(never) package static func forbidden(_ message: Sentence) -> Refusal {
    Refusal(403, "forbidden", message, closeCode: CloseCode.forbidden)
  }

  /// RFC 9110 §11.6.1: a 401 has a challenge.
  @inline(never) package static func unauthenticated(_ message: Sentence) -> Refusal {
    Refusal(
      401, "unauthenticated", message, headers: [(name: "WWW-Authenticate", value: "Bearer")],
      closeCode: CloseCode.unauthenticated)
  }

  @inline(never) package static func token(_ problem: TokenProblem) -> Refusal {
    Refusal(
      401, problem.code, "\(problem.sentence)", headers: [(name: "WWW-Authenticate", value: "Bearer error=\"invalid_token\"")],
      closeCode: problem == .expired ? CloseCode.tokenExpired : CloseCode.unauthenticated)
  }

  @inline(never) package static func tooMany(_ message: Sentence, retryAfter seconds: Int) -> Refusal {
    Refusal(
      429, "rate_limited", message, headers: [(name: "Retry-After", value: sentence("\(seconds)"))],
      closeCode: CloseCode.rate)
  }

  @inline(never) package static func unavailable(_ message: Sentence, retryAfter seconds: Int) -> Refusal {
    Refusal(
      503, "unavailable", message, headers: [(name: "Retry-After", value: sentence("\(seconds)"))],
      closeCode: CloseCode.tryAgainLater)
  }

  /// A deadline of the owner's passed before the request was whole.
  @inline(never) package static func requestTimeout() -> Refusal {
    Refusal(408, "request_timeout", "the request did not arrive in time", closes: true)
  }

  /// Of PulseWire's judgement of a head.
  @inline(never) convenience init(_ failure: UpgradeRequestFailure) {
    var headers: [HTTPHeader] = []
    for header in failure.headers
    where !HTTPText.sameIgnoringCase(header.name.bytes[...], "upgrade")
      && !HTTPText.sameIgnoringCase(header.name.bytes[...], "connection")
    { headers.append(header) }
    self.init(failure.status, Self.code(of: failure.status), "\(failure.text)", headers: headers, closes: true)
  }

  private static func code(of status: Int) -> Literal {
    switch status {
    case 405: "method_not_allowed"
    case 413: "body_too_large"
    case 414: "target_too_long"
    case 417: "expectation_failed"
    case 426: "upgrade_required"
    case 431: "head_too_large"
    case 501: "not_implemented"
    case 505: "version_not_supported"
    default: "bad_request"
    }
  }

  // MARK: The answer

  /// The whole answer; empty for status 0. `request` is the one it answers, nil when it never became whole;
  /// `keepsAlive` is false when the owner wants to close. `headers` are the owner's: CORS, Server.
  @inline(never) package func encode(
    to request: Request?, requestID: String, date: Int64, keepsAlive: Bool = true, headers own: [HTTPHeader] = []
  ) -> [UInt8] {
    if status == 0 { return [] }
    let body: Sentence = """
      {"error":{"code":"\(code)","message":\(json: sentence(message)),"request_id":\(json: requestID),"status":\(status)}}
      """
    var head = AnswerHead(
      status: status, date: date, keepsAlive: keepsAlive && !closes && request?.keepsAlive == true)
    head.asksForUpgrade = status == 426
    head.add(own: "Content-Type", "application/json")
    head.add(own: "Cache-Control", "no-store")
    head.add(headers)
    head.add(own)
    var bytes = head.finish(length: Int64(body.bytes.count))
    if request?.isHead != true { bytes.append(contentsOf: body.bytes) }
    return bytes
  }
}
