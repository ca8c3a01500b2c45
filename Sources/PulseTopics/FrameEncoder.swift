// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import PulseWire

/// Makes the frames of a loop: its compressor, its scratch memory and its counts. It belongs to the loop's thread.
///
/// Every message starts with an empty history (`server_no_context_takeover`, RFC 7692 §7.1.1.1) and a window of 15 bits:
/// so one frame fits all peers that negotiated compression.
package final class FrameEncoder {
  private let threshold: Int
  private let level: Int32
  private var deflater: DeflateEncoder?
  private var isUnusable = false
  private var compressed = ByteQueue()
  /// The begin of a message that is being made.
  var scratch: [UInt8] = []

  /// Frames of messages and snapshots that were made, and those of them that are compressed.
  package private(set) var framesEncoded: UInt64 = 0
  package private(set) var framesCompressed: UInt64 = 0

  /// Payloads shorter than `threshold` bytes are not compressed.
  package init(compressionThreshold threshold: Int = 256, compressionLevel level: Int32 = 1) {
    self.threshold = threshold < 1 ? 1 : threshold
    self.level = level
  }

  func made(_ frame: SharedFrame) -> SharedFrame {
    framesEncoded &+= 1
    return frame
  }

  /// The compressed form of a frame; the frame itself if it is short, or would not become shorter.
  @inline(never)
  func compress(_ frame: SharedFrame, _ opcode: SharedFrame.Opcode) -> SharedFrame {
    let bytes = frame.bytes
    let header = bytes.count < 128 ? 2 : bytes.count < 0x1_0004 ? 4 : 10
    if bytes.count &- header < threshold || isUnusable { return frame }
    if deflater == nil { deflater = DeflateEncoder(windowBits: 15, noContextTakeover: true, level: level) }
    compressed.removeAll(keepingCapacityUpTo: ByteQueue.retained)
    guard let deflater,
      deflater.deflate(UnsafeRawBufferPointer(rebasing: bytes[header...]), into: &compressed)
    else {
      // There was no memory: what follows goes out as it is, which is always allowed (RFC 7692 §6).
      self.deflater = nil
      isUnusable = true
      return frame
    }
    if compressed.count >= bytes.count &- header { return frame }
    framesEncoded &+= 1
    framesCompressed &+= 1
    return SharedFrame(opcode, compressed.readable, isCompressed: true)
  }
}
