// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// How large a request may be.
package struct RequestLimits: Sendable {
  /// Request line and headers, in bytes.
  package var headSize = 16 << 10
  package var targetSize = 8 << 10
  package var headers = 100
  package var bodySize = 1 << 20

  package init() {}
}

package enum RequestProgress {
  /// The whole chunk is used.
  case needMoreBytes
  /// The bytes behind `offset` belong to the next request, or are frames.
  case request(Request)
  /// The connection is to be closed, behind the answer if there is one.
  case failed(Refusal)
}

/// Parses the requests of one HTTP/1.1 or HTTP/1.0 connection, one after the other. It is as strict as the handshake:
/// where two readers might disagree about the end of a message, the message is refused (RFC 9112 §11.2). Not thread safe.
package final class RequestParser {
  private enum State {
    case head, body, ended
  }

  private let limits: RequestLimits
  private var parser: HTTPHeadParser
  private var state = State.head
  /// Of the empty line that may stand before a request: 1 after CR, 2 after LF.
  private var emptyLine = 0
  private var current: Request?
  private var body = RequestBodyReader.none
  private var failure: Refusal?
  /// The client waits for "100 Continue" before it sends the body. For the owner to write `Response.goOn` and to call
  /// `continued`, or to refuse.
  package private(set) var wantsContinue = false

  package init(limits: RequestLimits = RequestLimits()) {
    self.limits = limits
    parser = Self.headParser(limits)
  }

  private static func headParser(_ limits: RequestLimits) -> HTTPHeadParser {
    HTTPHeadParser(.request, maxSize: limits.headSize, maxFields: limits.headers, maxTargetSize: limits.targetSize)
  }

  /// Not a byte of a request is here whose end is not.
  package var isIdle: Bool { state == .head && parser.size == 0 && emptyLine != 1 }

  /// The request whose body is still coming.
  package var pending: Request? { state == .body ? current : nil }

  package func continued() { wantsContinue = false }

  /// Reads from `offset` to the end of a request or of the chunk. A failure is final: later calls give it again. Behind a
  /// request that keeps nothing alive, bytes are thrown away (RFC 9112 §9.6).
  package func receive(_ bytes: UnsafeRawBufferPointer, from offset: inout Int) -> RequestProgress {
    if let failure { return .failed(failure) }
    if state == .ended {
      offset = max(offset, bytes.count)
      return .needMoreBytes
    }
    if state == .head {
      if parser.size == 0, let failure = passEmptyLine(bytes, &offset) { return fail(failure) }
      switch parser.receive(bytes, from: &offset) {
      case .needMoreBytes: return .needMoreBytes
      case .failed(let failure): return fail(.badRequest(failure.text, status: failure.status))
      case .complete: break
      }
      if let failure = beginBody() { return fail(failure) }
    }
    if offset < bytes.count { wantsContinue = false }
    switch body.receive(bytes, from: &offset) {
    case .needMoreBytes: return .needMoreBytes
    case .failed(let failure): return fail(failure)
    case .complete: return finish()
    }
  }

  /// RFC 9112 §2.2: some clients send an empty line behind a body. One is ignored.
  private func passEmptyLine(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Refusal? {
    if emptyLine == 0, offset < bytes.count, bytes[offset] == 0x0D {
      emptyLine = 1
      offset += 1
    }
    if emptyLine == 1, offset < bytes.count {
      if bytes[offset] != 0x0A { return .badRequest("the request has a carriage return that no line feed follows") }
      emptyLine = 2
      offset += 1
    }
    return nil
  }

  private func beginBody() -> Refusal? {
    var framing = RequestFraming(head: parser.head, maxBodySize: limits.bodySize)
    switch framing.read() {
    case .failure(let failure): return failure
    case .success(let request): current = request
    }
    body = framing.body
    wantsContinue = framing.expectsContinue
    // Its bytes are the request's now.
    parser = Self.headParser(limits)
    emptyLine = 0
    state = .body
    return nil
  }

  private func finish() -> RequestProgress {
    guard let request = current else { return .needMoreBytes }
    request.body = body.bytes
    current = nil
    body = .none
    wantsContinue = false
    state = request.keepsAlive ? .head : .ended
    return .request(request)
  }

  private func fail(_ refusal: Refusal) -> RequestProgress {
    failure = refusal
    parser = Self.headParser(limits)
    current = nil
    body = .none
    wantsContinue = false
    state = .ended
    return .failed(refusal)
  }
}
