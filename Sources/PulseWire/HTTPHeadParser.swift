// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Why a head can't be parsed.
package struct HTTPHeadFailure {
  /// Over a limit; otherwise malformed.
  package var isTooLarge = false
  /// What a server answers; 0 when the peer does not speak HTTP/1 and an answer would mean nothing to it.
  package var status = 400
  /// One sentence, without control characters.
  package var text: Sentence
}

/// Parses the head of one HTTP/1.1 message as its bytes arrive, in either role. It is strict where leniency lets two
/// readers see two different messages (RFC 9112 §2.2, §5): lines end with CR LF and nothing else, no line is continued,
/// no space stands before a colon. Every byte is judged when it comes. An answer that only refuses is read for what it
/// says instead, since the connection ends with it: nothing in it but its size makes it fail. The trailer of a chunked body is
/// a head without a first line.
package struct HTTPHeadParser {
  package enum Kind { case request, response, trailer }
  package enum Progress {
    case needMoreBytes
    case complete
    case failed(HTTPHeadFailure)
  }

  private enum State {
    case protocolName, status, afterStatus, reason  // of a response
    case method, target, version  // of a request
    case lineFeed, fieldStart, fieldName, afterName, beforeValue, value, lastLineFeed
    case skippedLine
    case complete, failed
  }

  package private(set) var head = HTTPHead()
  private var state: State
  private let kind: Kind
  private let maxSize: Int
  private let used: Int
  private let maxFields: Int
  private let maxTargetSize: Int
  /// The status is one of a refusal.
  private(set) var isRefusal = false
  /// Where the part that is being read began.
  private var mark = 0
  private var nameBegin = 0
  private var nameEnd = 0
  /// The end of the value without the blanks that follow it.
  private var valueEnd = 0
  /// Where the line of the last header ended.
  private var lineEnd = 0

  private static let maxMethodSize = 32

  /// `used` of the `maxSize` bytes went to heads before this one.
  package init(
    _ kind: Kind, maxSize: Int, used: Int = 0, maxFields: Int = 128, maxTargetSize: Int = 16 << 10
  ) {
    self.kind = kind
    self.maxSize = maxSize
    self.used = used
    self.maxFields = maxFields
    self.maxTargetSize = maxTargetSize
    state = kind == .request ? .method : kind == .response ? .protocolName : .fieldStart
  }

  /// Bytes of the head so far.
  package var size: Int { head.bytes.count }

  /// Reads from `offset` to the end of the head or of the chunk. Not to be called again after a failure.
  @inline(never) package mutating func receive(_ chunk: UnsafeRawBufferPointer, from offset: inout Int) -> Progress {
    while offset < chunk.count {
      if head.bytes.count + used >= maxSize { return tooLarge("is larger than \(maxSize) bytes", status: 431) }
      var byte = chunk[offset]
      if let failure = accept(&byte) {
        state = .failed
        return .failed(failure.text.bytes.isEmpty ? notHTTP(chunk, from: offset) : failure)
      }
      head.bytes.append(byte)
      offset += 1
      if state == .complete { return .complete }
    }
    return .needMoreBytes
  }

  /// Takes one byte, which will stand at `size`: as it is, or as a blank.
  private mutating func accept(_ byte: inout UInt8) -> HTTPHeadFailure? {
    let at = head.bytes.count
    switch state {
    case .protocolName, .status, .afterStatus, .reason: return acceptStatusLine(&byte, at)
    case .method, .target, .version: return acceptRequestLine(byte, at)

    case .lineFeed, .lastLineFeed:
      if byte == 0x0A {
        state = state == .lineFeed ? .fieldStart : .complete
      } else if !isRefusal {
        return malformed("has a carriage return that no line feed follows")
      } else if state == .lastLineFeed || !goOnWithValue(at) {
        state = .skippedLine
      } else {
        // RFC 9112 §2.2: a carriage return alone is a blank.
        return accept(&byte)
      }

    case .fieldStart:
      if byte == 0x0D || (isRefusal && byte == 0x0A) {
        state = byte == 0x0D ? .lastLineFeed : .complete
        return nil
      }
      let isFull = head.fields.count >= maxFields
      if isRefusal {
        // RFC 9112 §5.2: a continued line (obs-fold) belongs to the value before, with blanks for the end of the line.
        if HTTPText.isBlank(byte), goOnWithValue(at) { return nil }
        if isFull || !HTTPText.isToken(byte) {
          state = .skippedLine
          return nil
        }
      }
      // §5.2: else it is refused.
      if HTTPText.isBlank(byte) { return malformed("has a header line that begins with a blank") }
      guard HTTPText.isToken(byte) else {
        return malformed("has a header name with the byte \(byte: byte)")
      }
      if isFull { return tooLargeFailure("has more than \(maxFields) headers", status: 431) }
      nameBegin = at
      state = .fieldName

    case .fieldName:
      if byte == UInt8(ascii: ":") {
        nameEnd = at
        state = .beforeValue
        return nil
      }
      if isRefusal, !HTTPText.isToken(byte) {
        nameEnd = at
        state = HTTPText.isBlank(byte) ? .afterName : byte == 0x0A ? .fieldStart : .skippedLine
        return nil
      }
      guard HTTPText.isToken(byte) else {
        // RFC 9112 §5.1: no blank between the name and the colon.
        let name = head.bytes[nameBegin...]
        return malformed(
          byte == 0x0D || byte == 0x0A
            ? "has a header line without a colon: \(quoted: name)"
            : "has the byte \(byte: byte) in the header name that begins with \(quoted: name)")
      }

    case .afterName:
      if byte == UInt8(ascii: ":") {
        state = .beforeValue
      } else if !HTTPText.isBlank(byte) {
        state = byte == 0x0A ? .fieldStart : .skippedLine
      }

    case .skippedLine:
      if byte == 0x0A { state = .fieldStart }

    case .beforeValue, .value:
      if byte == 0x0D || (isRefusal && byte == 0x0A) {
        if state == .beforeValue { (mark, valueEnd) = (at, at) }
        head.fields.append(HTTPHead.Field(name: nameBegin..<nameEnd, value: mark..<valueEnd))
        lineEnd = at
        state = byte == 0x0D ? .lineFeed : .fieldStart
        return nil
      }
      if isRefusal, !HTTPText.isFieldText(byte) { byte = 0x20 }
      guard HTTPText.isFieldText(byte) else {
        let name = head.bytes[nameBegin..<nameEnd]
        return malformed("has the byte \(byte: byte) in the value of header \(quoted: name)")
      }
      if HTTPText.isBlank(byte) { return nil }
      if state == .beforeValue {
        mark = at
        state = .value
      }
      valueEnd = at + 1

    case .complete, .failed:
      return malformed("goes on after its end")
    }
    return nil
  }

  /// The line that has just ended goes on: its end becomes blanks. False if it was none of a header that is kept.
  private mutating func goOnWithValue(_ at: Int) -> Bool {
    guard at - lineEnd <= 2, let field = head.fields.popLast() else { return false }
    (nameBegin, nameEnd) = (field.name.lowerBound, field.name.upperBound)
    (mark, valueEnd) = (field.value.lowerBound, field.value.upperBound)
    state = field.value.isEmpty ? .beforeValue : .value
    for place in (at - 2)..<at where !HTTPText.isFieldText(head.bytes[place]) { head.bytes[place] = 0x20 }
    return true
  }

  // MARK: First lines

  /// RFC 9112 §4: "HTTP/1.1 101 Switching Protocols". The space before an empty reason phrase may be missing.
  private mutating func acceptStatusLine(_ byte: inout UInt8, _ at: Int) -> HTTPHeadFailure? {
    switch state {
    case .protocolName:
      let name: Literal = "HTTP/1."
      if at < 7 {
        guard byte == name.start[at] else { return Self.notHTTPMark }
      } else if at == 7 {
        guard byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1") else { return Self.notHTTPMark }
        head.minorVersion = byte &- UInt8(ascii: "0")
      } else {
        guard byte == 0x20 else { return Self.notHTTPMark }
        mark = at + 1
        state = .status
      }
    case .status:
      guard HTTPText.isDigit(byte) else { return badStatus(byte) }
      head.status = head.status &* 10 &+ Int(byte &- UInt8(ascii: "0"))
      if at == mark + 2 { state = .afterStatus }
    case .afterStatus:
      // RFC 9110 §15: a status outside of 100 to 599 is a failure of the server's.
      let refuses = head.status / 100 != 1
      mark = at
      if byte == 0x20 {
        mark = at + 1
      } else if byte != 0x0D && !(refuses && byte == 0x0A) {
        return badStatus(byte)
      }
      isRefusal = refuses
      state = .reason
      if byte != 0x20 { return acceptStatusLine(&byte, at) }
    default:
      if byte == 0x0D || (isRefusal && byte == 0x0A) {
        head.reason = mark..<at
        state = byte == 0x0D ? .lineFeed : .fieldStart
      } else if !HTTPText.isFieldText(byte) {
        if !isRefusal { return malformed("has the byte \(byte: byte) in its status line") }
        byte = 0x20
      }
    }
    return nil
  }

  /// RFC 9112 §3: "GET /path HTTP/1.1".
  private mutating func acceptRequestLine(_ byte: UInt8, _ at: Int) -> HTTPHeadFailure? {
    switch state {
    case .method:
      if byte == 0x20, at > 0 {
        head.method = 0..<at
        mark = at + 1
        state = .target
        return nil
      }
      // RFC 9113 §3.4: the preface of HTTP/2 begins as a request with the method PRI.
      guard HTTPText.isToken(byte), at < Self.maxMethodSize else { return Self.notHTTPMark }
    case .target:
      if byte == 0x20, at > mark {
        head.target = mark..<at
        mark = at + 1
        state = .version
        return nil
      }
      guard byte > 0x20, byte < 0x7F else {
        return malformed("has the byte \(byte: byte) in its target")
      }
      if at - mark >= maxTargetSize {
        return tooLargeFailure("has a target of more than \(maxTargetSize) bytes", status: 414)
      }
    default:
      let version: Literal = "HTTP/1."
      let index = at - mark
      if index == 8 {
        guard byte == 0x0D else { return badVersion(byte) }
        state = .lineFeed
      } else if index == 7 {
        guard byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1") else { return badVersion(byte) }
        head.minorVersion = byte &- UInt8(ascii: "0")
      } else if byte != version.start[index] {
        return badVersion(byte)
      }
    }
    return nil
  }

  // MARK: Sentences

  private var subject: Literal {
    switch kind {
    case .request: "the request"
    case .response: "the peer's answer to the upgrade request"
    case .trailer: "the trailer of the request"
    }
  }

  private func malformed(_ what: Sentence) -> HTTPHeadFailure { HTTPHeadFailure(text: "\(subject) \(what)") }

  private func tooLargeFailure(_ what: Sentence, status: Int) -> HTTPHeadFailure {
    HTTPHeadFailure(isTooLarge: true, status: status, text: "\(subject) \(what)")
  }

  private mutating func tooLarge(_ what: Sentence, status: Int) -> Progress {
    state = .failed
    return .failed(tooLargeFailure(what, status: status))
  }

  private func badStatus(_ byte: UInt8) -> HTTPHeadFailure {
    malformed("has the byte \(byte: byte) in its status, which has to be three digits")
  }

  private func badVersion(_ byte: UInt8) -> HTTPHeadFailure {
    if HTTPText.same(head.bytes[head.method], "PRI") {
      return HTTPHeadFailure(status: 0, text: "the peer speaks HTTP/2, this side HTTP/1.1 only")
    }
    return HTTPHeadFailure(
      status: 505, text: "the request has the byte \(byte: byte) in its protocol version, which has to be HTTP/1.1")
  }

  /// Stands for the sentence of `notHTTP`, which needs the chunk.
  private static var notHTTPMark: HTTPHeadFailure { HTTPHeadFailure(text: "") }

  /// The first bytes are none of HTTP/1: says what they look like.
  private func notHTTP(_ chunk: UnsafeRawBufferPointer, from offset: Int) -> HTTPHeadFailure {
    var seen = head.bytes
    var end = offset
    while end < chunk.count, seen.count < 65 {
      seen.append(chunk[end])
      end += 1
    }
    // RFC 8446 §5.1: record type alert (21) or handshake (22), then the major version 3.
    if seen[0] == 0x15 || seen[0] == 0x16, seen.count < 2 || seen[1] == 3 {
      return HTTPHeadFailure(
        status: 0,
        text: kind == .response
          ? "the peer does not speak HTTP: it seems to speak TLS; use wss:// instead of ws://"
          : "the peer does not speak HTTP: it seems to speak TLS (wss://), and this port is for ws://")
    }
    // RFC 9113 §6.5: a SETTINGS frame on stream 0 is the first thing an HTTP/2 server says.
    let isSettings = seen.count >= 9 && seen[0] == 0 && seen[3] == 4 && seen[5...8].allSatisfy { $0 == 0 }
    if isSettings || HTTPText.startsIgnoringCase(seen[...], "http/2") {
      return HTTPHeadFailure(status: 0, text: "the peer speaks HTTP/2, this side HTTP/1.1 only")
    }
    return HTTPHeadFailure(status: 0, text: "the peer does not speak HTTP: it sent \(quoted: seen[...])")
  }
}
