// SPDX-License-Identifier: Apache-2.0
import PulseWire

/// Frames in order, the first one perhaps written in part. A frame may be a message's, which the books count.
final class FrameRing {
  /// The address of a frame, which has a reference for it; the lowest bit marks a message.
  private var slots: UnsafeMutablePointer<UInt>
  private var capacity: Int32 = 4
  private var head: Int32 = 0
  private(set) var count: Int32 = 0
  /// Of these are messages.
  private(set) var messages: Int32 = 0
  /// How much of the first one is written.
  private var written = 0
  /// What is left to write.
  private(set) var bytes = 0

  init() { slots = UnsafeMutablePointer<UInt>.allocate(capacity: Int(capacity)) }

  deinit {
    while let frame = take() { _ = frame }
    slots.deallocate()
  }

  @inline(__always) private func place(_ index: Int32) -> Int { Int((head &+ index) & (capacity &- 1)) }

  @inline(__always) func append(_ frame: SharedFrame, isMessage: Bool) {
    if count == capacity { grow() }
    slots[place(count)] = UInt(bitPattern: Unmanaged.passRetained(frame).toOpaque()) | (isMessage ? 1 : 0)
    count &+= 1
    if isMessage { messages &+= 1 }
    bytes &+= frame.count
  }

  /// What is left of a frame to write; nothing for a wrong index.
  func rest(_ index: Int) -> UnsafeRawBufferPointer {
    guard index >= 0, index < Int(count), let frame = FrameRing.frame(slots[place(Int32(index))]) else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    let all = frame._withUnsafeGuaranteedRef { $0.bytes }
    return index == 0 ? UnsafeRawBufferPointer(rebasing: all[written...]) : all
  }

  /// All that is left to write, one frame behind the other.
  func join(into joined: inout ByteQueue) {
    for index in 0..<count {
      guard let frame = FrameRing.frame(slots[place(index)]) else { return }
      frame._withUnsafeGuaranteedRef {
        joined.append(index == 0 ? UnsafeRawBufferPointer(rebasing: $0.bytes[written...]) : $0.bytes)
      }
    }
  }

  /// Removes the first one.
  func take() -> SharedFrame? {
    if count == 0 { return nil }
    let word = slots[place(0)]
    head = (head &+ 1) & (capacity &- 1)
    count &-= 1
    if word & 1 != 0 { messages &-= 1 }
    let frame = FrameRing.frame(word)?.takeRetainedValue()
    bytes &-= (frame?.count ?? 0) &- written
    written = 0
    return frame
  }

  /// Removes what `size` more bytes complete; how many messages that were.
  func advance(_ size: Int) -> Int {
    var left = size
    let before = messages
    while count > 0 {
      let word = slots[place(0)]
      guard let frame = FrameRing.frame(word) else { break }
      let rest = frame._withUnsafeGuaranteedRef { $0.count } &- written
      if left < rest {
        if left > 0 {
          written &+= left
          bytes &-= left
        }
        break
      }
      left &-= rest
      bytes &-= rest
      written = 0
      head = (head &+ 1) & (capacity &- 1)
      count &-= 1
      if word & 1 != 0 { messages &-= 1 }
      frame.release()
    }
    return Int(before &- messages)
  }

  private static func frame(_ word: UInt) -> Unmanaged<SharedFrame>? {
    guard let address = UnsafeRawPointer(bitPattern: word & ~1) else { return nil }
    return Unmanaged<SharedFrame>.fromOpaque(address)
  }

  @inline(never) private func grow() {
    let larger = UnsafeMutablePointer<UInt>.allocate(capacity: Int(capacity) &* 2)
    for index in 0..<count { larger[Int(index)] = slots[place(index)] }
    slots.deallocate()
    slots = larger
    head = 0
    capacity &*= 2
  }

  /// More memory than an empty ring should keep.
  var isLarge: Bool { capacity > 16 }
}
