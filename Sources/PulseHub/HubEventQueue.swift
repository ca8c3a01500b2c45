// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText
import PulseTransport

/// Something that the application asked to hear of. Texts end with NUL.
package final class HubEvent: @unchecked Sendable {  // immutable once it is queued
  package let kind: HubEventKind
  /// When it happened, nanoseconds since 1970.
  package let time: Int64
  package var peer: UInt64 = 0
  package var request: UInt64 = 0
  package var count: UInt64 = 0
  package var code: Int32 = 0
  package var address: [UInt8] = []
  package var route: [UInt8] = []
  package var topic: [UInt8] = []
  package var method: [UInt8] = []
  package var target: [UInt8] = []
  package var headers: [UInt8] = []
  package var text: [UInt8] = []
  /// Of a message or a request.
  package var data: [UInt8] = []

  @inline(never) init(_ kind: HubEventKind, peer: UInt64 = 0) {
    self.kind = kind
    self.peer = peer
    time = Clock.realtime()
  }

  /// As an event has its texts. What comes from outside may have a NUL of its own.
  @inline(never) static func text(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count &+ 1)
    for byte in bytes { out.append(byte == 0 ? 0x20 : byte) }
    out.append(0)
    return out
  }

  @inline(never) static func text(_ bytes: [UInt8]) -> [UInt8] { text(bytes[...]) }

  /// The memory that it takes, about.
  var cost: Int { 256 &+ address.count &+ route.count &+ topic.count &+ target.count &+ headers.count &+ text.count &+ data.count }
}

/// The events on their way to the application. Loops append, the application takes; when it falls behind, the loops stop
/// reading from peers, so that nothing is dropped and memory stays bounded.
final class HubEventQueue: @unchecked Sendable {  // guarded by `mutex`
  private let mutex = Mutex()
  private let condition = Condition()
  private var waiting: [HubEvent] = []
  private var first = 0
  private var bytes = 0
  private var isEnded = false
  private var descriptor: Int32 = -1
  private var mostEvents = 1
  private var mostBytes = 1
  /// What the last `take` lent.
  private var lent: [HubEvent] = []

  func set(mostEvents: Int, mostBytes: Int) {
    mutex.lock()
    self.mostEvents = mostEvents
    self.mostBytes = mostBytes
    mutex.unlock()
  }

  deinit { if descriptor >= 0 { psys_close(descriptor) } }

  var count: Int { mutex.withLock { waiting.count &- first } }

  /// The queue is as full as it may be: what peers send is left unread.
  var isFull: Bool { mutex.withLock { waiting.count &- first >= mostEvents || bytes >= mostBytes } }

  func append(_ event: HubEvent) {
    mutex.lock()
    waiting.append(event)
    bytes &+= event.cost
    if waiting.count &- first == 1 {
      if descriptor >= 0 { psys_eventfd_add(descriptor) }
      condition.signal()
    }
    mutex.unlock()
  }

  /// No more will come: who waits is let go.
  func end() {
    mutex.lock()
    isEnded = true
    if descriptor >= 0 { psys_eventfd_add(descriptor) }
    condition.broadcast()
    mutex.unlock()
  }

  /// Readable while there are events, and for good behind the last one; -errno if there can be none.
  func wakeDescriptor() -> Int32 {
    mutex.lock()
    defer { mutex.unlock() }
    if descriptor < 0 {
      descriptor = psys_eventfd_create()
      if descriptor >= 0, isEnded || waiting.count > first { psys_eventfd_add(descriptor) }
    }
    return descriptor
  }

  /// Up to `most` events; waits for the first one until `deadline` (monotonic ns). They are valid until the next call.
  /// `madeRoom`: loops that had stopped reading may go on.
  func take(_ most: Int, until deadline: Int64, madeRoom: inout Bool) -> [HubEvent]? {
    mutex.lock()
    defer { mutex.unlock() }
    lent = []
    while waiting.count == first {
      if isEnded { return nil }
      if deadline == .max {
        condition.wait(mutex)
      } else if Clock.monotonic() >= deadline || !condition.wait(mutex, untilNs: deadline) {
        if waiting.count == first { return isEnded ? nil : [] }
      }
    }
    let wasFull = waiting.count &- first > mostEvents / 2 || bytes > mostBytes / 2
    let end = min(waiting.count, first &+ most)
    while first < end {
      bytes &-= waiting[first].cost
      lent.append(waiting[first])
      first &+= 1
    }
    if first == waiting.count {
      waiting.removeAll(keepingCapacity: first <= 1024)
      first = 0
      // Behind the last one there is still to hear that it was that.
      if descriptor >= 0, !isEnded { psys_eventfd_clear(descriptor) }
    } else if first >= 1024, first &* 2 >= waiting.count {
      var rest: [HubEvent] = []
      rest.reserveCapacity(waiting.count &- first)
      for index in first..<waiting.count { rest.append(waiting[index]) }
      waiting = rest
      first = 0
    }
    madeRoom = wasFull && waiting.count &- first <= mostEvents / 2 && bytes <= mostBytes / 2
    return lent
  }
}
