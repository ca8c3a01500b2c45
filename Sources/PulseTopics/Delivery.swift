// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Synchronization

/// Two frames that are made when they are first asked for, the second one compressed. Threads may ask at the same time:
/// one frame is kept, the other thread drops its own.
struct FrameSlots: ~Copyable {
  private let uncompressed = Atomic<UInt>(0)
  private let compressed = Atomic<UInt>(0)

  deinit {
    FrameSlots.release(uncompressed.load(ordering: .acquiring))
    FrameSlots.release(compressed.load(ordering: .acquiring))
  }

  @inline(__always) func present(_ isCompressed: Bool) -> SharedFrame? {
    let address = isCompressed ? compressed.load(ordering: .acquiring) : uncompressed.load(ordering: .acquiring)
    guard let pointer = UnsafeRawPointer(bitPattern: address) else { return nil }
    return Unmanaged<SharedFrame>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Keeps the frame, unless another one is there; the one that is there then.
  @inline(never) func keep(_ frame: SharedFrame, _ isCompressed: Bool) -> SharedFrame {
    let own = Unmanaged.passRetained(frame)
    let desired = UInt(bitPattern: own.toOpaque())
    let (isKept, _) =
      isCompressed
      ? compressed.compareExchange(expected: 0, desired: desired, ordering: .acquiringAndReleasing)
      : uncompressed.compareExchange(expected: 0, desired: desired, ordering: .acquiringAndReleasing)
    if isKept { return frame }
    own.release()
    return present(isCompressed) ?? frame
  }

  private static func release(_ address: UInt) {
    guard let pointer = UnsafeRawPointer(bitPattern: address) else { return }
    Unmanaged<SharedFrame>.fromOpaque(pointer).release()
  }
}

/// A publication on its way: with the offset of the message that a peer in step got before, and how many between the two
/// were left out since a newer one with their key follows.
package final class Delivery: @unchecked Sendable {  // the frames are atomic, nothing else changes
  package let publication: Publication
  package let previous: UInt64
  package let skipped: UInt64
  /// Against `QueueRules.maxBytes`.
  let cost: Int
  /// The frames of the form `pulse`.
  private let frames = FrameSlots()

  package init(_ publication: Publication, previous: UInt64, skipped: UInt64 = 0) {
    self.publication = publication
    self.previous = previous
    self.skipped = skipped
    cost = publication.payload.count &+ PeerQueue.overhead
  }

  package var offset: UInt64 { publication.offset }

  /// The frame for peers to whom this comes in step, made and compressed once for all of them.
  package func frame(_ form: Form, compressed: Bool, _ topic: TopicInfo, _ encoder: FrameEncoder) -> SharedFrame {
    let found = form == .pulse ? frames.present(compressed) : publication.frames.present(compressed)
    return found ?? make(form, compressed, topic, encoder)
  }

  @inline(never)
  private func make(_ form: Form, _ isCompressed: Bool, _ topic: TopicInfo, _ encoder: FrameEncoder) -> SharedFrame {
    let opcode: SharedFrame.Opcode = publication.isBinary ? .binary : .text
    if isCompressed {
      let made = encoder.compress(frame(form, compressed: false, topic, encoder), opcode)
      return form == .pulse ? frames.keep(made, true) : publication.frames.keep(made, true)
    }
    if form == .plain {
      return publication.frames.keep(encoder.made(SharedFrame(opcode, publication.payload)), false)
    }
    return frames.keep(Envelope.frame(publication, previous, skipped, topic, encoder), false)
  }
}
