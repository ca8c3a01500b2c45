// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseText
import PulseWire

/// Frames of a server as they go to a socket, header and payload, unmasked (RFC 6455 §5.1): one in most cases, several
/// one behind another in a snapshot. Made once and shared by all peers and loops that send them.
package final class SharedFrame: @unchecked Sendable {  // nothing changes after init
  /// RFC 6455 §5.2.
  package enum Opcode: UInt8, Sendable {
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10
  }

  /// The longest header of a frame without a mask.
  static let maxHeader = 10

  private let memory: UnsafeMutableRawPointer
  package let count: Int
  /// RFC 7692 §6: only for peers that negotiated it.
  package let isCompressed: Bool

  /// Valid as long as the frame.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  /// For a frame that nobody else holds: it lives until its bytes are copied.
  package func append(to queue: inout ByteQueue) { queue.append(bytes) }

  /// One frame.
  @inline(never) package init(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool = false) {
    let header = SharedFrame.headerSize(payload.count)
    count = header &+ payload.count
    memory = SharedFrame.allocate(count)
    self.isCompressed = isCompressed
    SharedFrame.writeHeader(memory, opcode, payload.count, isCompressed)
    pulse_memory_copy(memory + header, payload.baseAddress, payload.count)
  }

  /// One frame whose payload is `head`, `body` and `tail`.
  init(_ opcode: Opcode, head: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer, tail: UInt8?) {
    let size = head.count &+ body.count &+ (tail == nil ? 0 : 1)
    let header = SharedFrame.headerSize(size)
    count = header &+ size
    memory = SharedFrame.allocate(count)
    isCompressed = false
    SharedFrame.writeHeader(memory, opcode, size, false)
    pulse_memory_copy(memory + header, head.baseAddress, head.count)
    pulse_memory_copy(memory + header + head.count, body.baseAddress, body.count)
    if let tail { memory.storeBytes(of: tail, toByteOffset: count &- 1, as: UInt8.self) }
  }

  /// Whole frames that stand one behind another.
  package init(copying frames: UnsafeRawBufferPointer, isCompressed: Bool = false) {
    count = frames.count
    memory = SharedFrame.allocate(count)
    self.isCompressed = isCompressed
    pulse_memory_copy(memory, frames.baseAddress, count)
  }

  deinit { pulse_memory_free(memory) }

  /// A message of the hub's own.
  @inline(never) package static func text(_ json: [UInt8]) -> SharedFrame {
    json.withUnsafeBytes { SharedFrame(.text, $0) }
  }

  /// A close frame; the reason is cut after the last character that fits (RFC 6455 §5.5.1). The code must be one that
  /// may travel.
  @inline(never) package static func close(_ code: UInt16, _ reason: [UInt8]) -> SharedFrame {
    var size = min(reason.count, 123)
    if size < reason.count {
      while size > 0, reason[size] & 0xC0 == 0x80 { size &-= 1 }
    }
    var body = [UInt8(truncatingIfNeeded: code >> 8), UInt8(truncatingIfNeeded: code)]
    for byte in reason.prefix(size) { body.add(byte) }
    return body.withUnsafeBytes { SharedFrame(.close, $0) }
  }

  /// What a frame of the peer's asks to be sent back (RFC 6455 §5.5.3); at most 125 bytes of it.
  @inline(never) package static func control(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) -> SharedFrame {
    SharedFrame(opcode, payload.count > 125 ? UnsafeRawBufferPointer(rebasing: payload[..<125]) : payload)
  }

  // MARK: Headers

  static func headerSize(_ size: Int) -> Int { size < 126 ? 2 : size <= 0xFFFF ? 4 : 10 }

  /// RFC 6455 §5.2; RSV1 marks a compressed message (RFC 7692 §6).
  @inline(never)
  static func writeHeader(_ place: UnsafeMutableRawPointer, _ opcode: Opcode, _ size: Int, _ isCompressed: Bool) {
    place.storeBytes(of: (isCompressed ? 0xC0 : 0x80) | opcode.rawValue, as: UInt8.self)
    if size < 126 {
      place.storeBytes(of: UInt8(truncatingIfNeeded: size), toByteOffset: 1, as: UInt8.self)
    } else if size <= 0xFFFF {
      place.storeBytes(of: 126, toByteOffset: 1, as: UInt8.self)
      place.storeBytes(of: UInt16(truncatingIfNeeded: size).bigEndian, toByteOffset: 2, as: UInt16.self)
    } else {
      place.storeBytes(of: 127, toByteOffset: 1, as: UInt8.self)
      place.storeBytes(of: UInt64(truncatingIfNeeded: size).bigEndian, toByteOffset: 2, as: UInt64.self)
    }
  }

  private static func allocate(_ count: Int) -> UnsafeMutableRawPointer {
    guard let memory = pulse_memory_resize(nil, count < 1 ? 1 : count) else { pulse_out_of_memory() }
    return memory
  }
}
