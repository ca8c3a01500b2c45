// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseWire

/// Reads the body of a request to its end (RFC 9112 §6.2, §7.1).
final class RequestBodyReader {
  enum Progress {
    case needMoreBytes, complete
    case failed(Refusal)
  }

  private enum State {
    case counted  // `left` bytes to the end of the body
    case size, sizeLineFeed, parameters  // of a chunk
    case data, dataReturn, dataLineFeed
    case trailer, complete
  }

  /// Digits of a chunk's size.
  private static let maxDigits = 8
  /// Of all chunks together: what they carry beside the data is not free.
  private static let maxParameters = 4 << 10
  private static let maxTrailer = 4 << 10
  private static let maxTrailerFields = 32
  /// What is set aside for a body before its bytes are here.
  private static let firstCapacity = 16 << 10

  private(set) var bytes: [UInt8] = []
  private var state: State
  private var left: Int
  private let limit: Int
  private var digits = 0
  private var parameters = 0
  private var isLast = false
  private var trailer: HTTPHeadParser?

  private init(_ state: State, left: Int, limit: Int) {
    self.state = state
    self.left = left
    self.limit = limit
  }

  static var none: RequestBodyReader { RequestBodyReader(.complete, left: 0, limit: 0) }

  static func counted(_ length: Int) -> RequestBodyReader {
    let reader = RequestBodyReader(.counted, left: length, limit: length)
    reader.bytes.reserveCapacity(min(length, firstCapacity))
    return reader
  }

  static func chunked(limit: Int) -> RequestBodyReader { RequestBodyReader(.size, left: 0, limit: limit) }

  /// There is none, not even an empty one in chunks.
  var isNothing: Bool { state == .complete }

  /// Reads from `offset` to the end of the body or of the chunk.
  func receive(_ input: UnsafeRawBufferPointer, from offset: inout Int) -> Progress {
    while state != .complete {
      if offset >= input.count { return .needMoreBytes }
      if state == .trailer {
        switch receiveTrailer(input, &offset) {
        case .complete: state = .complete
        case .needMoreBytes: return .needMoreBytes
        case .failed(let refusal): return .failed(refusal)
        }
      } else if state == .counted || state == .data {
        take(input, &offset)
      } else {
        let byte = input[offset]
        offset += 1
        if let refusal = accept(byte) { return .failed(refusal) }
      }
    }
    return .complete
  }

  private func take(_ input: UnsafeRawBufferPointer, _ offset: inout Int) {
    let count = min(left, input.count - offset)
    bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[offset..<(offset + count)]))
    offset += count
    left -= count
    if left == 0 { state = state == .counted ? .complete : .dataReturn }
  }

  /// One byte between the data of two chunks.
  private func accept(_ byte: UInt8) -> Refusal? {
    switch state {
    case .size:
      if let value = HTTPText.hexValue(byte) {
        if digits == Self.maxDigits { return .badRequest("a chunk's size has more than \(Self.maxDigits) digits") }
        digits += 1
        left = left << 4 | Int(value)
        return nil
      }
      guard digits > 0 else { return .badRequest("a chunk's size begins with the byte \(byte: byte)") }
      if left > limit - bytes.count {
        return .badRequest("the body of the request has more than the \(limit) bytes allowed", status: 413)
      }
      isLast = left == 0
      digits = 0
      if byte == 0x0D {
        state = .sizeLineFeed
      } else if byte == UInt8(ascii: ";") {
        state = .parameters
      } else {
        // Blanks among them: RFC 9112 §7.1.1 knows them as bad, and readers differ about them.
        return .badRequest("a chunk's size has the byte \(byte: byte)")
      }
    case .parameters:
      if byte == 0x0D {
        state = .sizeLineFeed
        return nil
      }
      parameters += 1
      if parameters > Self.maxParameters {
        return .badRequest("the extensions of chunks have more than \(Self.maxParameters) bytes")
      }
      guard HTTPText.isFieldText(byte) else { return .badRequest("a chunk's extension has the byte \(byte: byte)") }
    case .sizeLineFeed:
      guard byte == 0x0A else { return .badRequest("the line of a chunk's size has a carriage return that no line feed follows") }
      state = isLast ? .trailer : .data
    case .dataReturn:
      guard byte == 0x0D else { return .badRequest("a chunk is longer than its size") }
      state = .dataLineFeed
    default:
      guard byte == 0x0A else { return .badRequest("a chunk ends with a carriage return that no line feed follows") }
      state = .size
    }
    return nil
  }

  /// What it says is thrown away: nothing in it may change what the head said (RFC 9110 §6.5.1).
  private func receiveTrailer(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> Progress {
    var parser =
      trailer ?? HTTPHeadParser(.trailer, maxSize: Self.maxTrailer, maxFields: Self.maxTrailerFields)
    trailer = nil
    switch parser.receive(input, from: &offset) {
    case .complete: return .complete
    case .failed(let failure): return .failed(.badRequest(failure.text, status: failure.status))
    case .needMoreBytes:
      trailer = parser
      return .needMoreBytes
    }
  }
}
