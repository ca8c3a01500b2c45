// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Reads the first bytes of a refusal's body (RFC 9112 §6). The connection is given up afterwards, so that nothing
/// depends on where the body ends; a body that breaks the rules just ends there.
struct BodyReader {
  private enum Framing {
    case length(Int)
    case untilEnd
    case chunkSize, chunkExtension, chunkData, chunkEnd
  }

  private var framing: Framing
  /// Of the present chunk.
  private var chunkLeft = 0
  private var chunkDigits = 0
  /// Framing of chunks counts too, so that a body of chunks that never says anything ends.
  private var framingLeft = 64 << 10

  /// nil if there is no body (RFC 9112 §6.3).
  init?(_ head: HTTPHead) {
    if head.status == 204 || head.status == 304 { return nil }
    if head.count(of: "transfer-encoding") > 0 {
      framing = head.list(of: "transfer-encoding", has: "chunked") ? .chunkSize : .untilEnd
    } else if let value = head.value(of: "content-length") {
      guard let length = HTTPText.decimal(value, limit: Int.max), length > 0 else { return nil }
      framing = .length(length)
    } else if head.minorVersion == 1, !head.list(of: "connection", has: "close"), head.count(of: "content-type") == 0 {
      // By the letter the body lasts until the connection ends. But nothing announces one, and a server that keeps the
      // connection open would let the caller wait until time is over.
      return nil
    } else {
      framing = .untilEnd
    }
  }

  /// Appends what belongs to the body; true when it is complete, or as much of it is there as is kept.
  mutating func receive(_ bytes: UnsafeRawBufferPointer, from offset: inout Int, into body: inout [UInt8]) -> Bool {
    while offset < bytes.count {
      let room = UpgradeRefusal.maxBodySize - body.count
      if room <= 0 { return true }
      let available = bytes.count - offset
      switch framing {
      case .untilEnd:
        append(bytes, min(available, room), &offset, &body)

      case .length(let left):
        let count = min(available, room, left)
        append(bytes, count, &offset, &body)
        framing = .length(left - count)
        if left == count { return true }

      case .chunkData:
        let count = min(available, room, chunkLeft)
        append(bytes, count, &offset, &body)
        chunkLeft -= count
        if chunkLeft == 0 { framing = .chunkEnd }

      case .chunkSize, .chunkExtension, .chunkEnd:
        let byte = bytes[offset]
        offset += 1
        framingLeft -= 1
        if framingLeft <= 0 || !acceptFraming(byte) { return true }
      }
    }
    return body.count >= UpgradeRefusal.maxBodySize
  }

  private func append(_ bytes: UnsafeRawBufferPointer, _ count: Int, _ offset: inout Int, _ body: inout [UInt8]) {
    body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
    offset += count
  }

  /// RFC 9112 §7.1: the size in hexadecimal, extensions, CR LF, data, CR LF. false at the last chunk or a wrong byte.
  private mutating func acceptFraming(_ byte: UInt8) -> Bool {
    switch framing {
    case .chunkSize:
      if let digit = HTTPText.hexValue(byte) {
        chunkDigits += 1
        // More than any body here needs, and far from overflow.
        if chunkDigits > 12 { return false }
        chunkLeft = chunkLeft << 4 | Int(digit)
        return true
      }
      if chunkDigits == 0 { return false }
      framing = .chunkExtension
      return acceptFraming(byte)
    case .chunkExtension:
      if byte != 0x0A { return true }
      chunkDigits = 0
      framing = .chunkData
      return chunkLeft > 0
    default:
      if byte == 0x0D { return true }
      framing = .chunkSize
      chunkLeft = 0
      return byte == 0x0A
    }
  }
}
