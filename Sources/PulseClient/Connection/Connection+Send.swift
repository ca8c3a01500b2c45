// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From frames to the socket. The client's lock is held.
extension Connection {
  /// Frames are made while fewer bytes than this wait to be written; the rest waits as messages in the outbox.
  static let outputLimit = 64 << 10
  /// A larger message leaves in fragments; smaller ones are spared servers that know none.
  private static let fragmentedFrom = 256 << 10
  /// So many bytes are worth a write of their own.
  private static let worthWriting = 16 << 10
  /// Sends that follow a write sooner than this (ns) belong to a burst: they leave together.
  private static let burstGap: Int64 = 10_000
  /// So long after a write the loop looks whether a burst has left something behind (ns).
  private static let burstLook: Int64 = 100_000
  /// A peer that sends pings and does not read the pongs gets no more of them.
  private static let controlLimit = 64 << 10

  /// Messages can be framed: the connection is open, and neither has writing failed nor the peer ended its side.
  var takesMessages: Bool { phase == .open && brokenWrite == nil && !inputIsEnding }
  var hasRoom: Bool { output.count < Connection.outputLimit }

  func sendControl(_ kind: UInt32, _ payload: UnsafeRawBufferPointer) -> StatusCode {
    guard let wire, control.count < Connection.controlLimit else { return .queueFull }
    if kind == MessageCode.ping {
      wire.encodePing(payload, maskKey: random.next32(), into: &control)
      line.statistics.pingsSent &+= 1
    } else {
      wire.encodePong(payload, maskKey: random.next32(), into: &control)
      line.statistics.pongsSent &+= 1
    }
    line.noteControl()
    if !writeIsBlocked { flush() }
    return .ok
  }

  /// A message that may expire is not framed while nothing can be written: it would leave late.
  func takesNow(expiresAt: Int64) -> Bool { takesMessages && hasRoom && (expiresAt == .max || !writeIsBlocked) }

  /// Frames a message that was accepted.
  @inline(__always)
  func encode(
    _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, id: UInt64, flags: OutboxFlags, expiresAt: Int64
  ) {
    guard let wire else { return }
    let before = output.count
    var isCompressed = false
    let isFragmented = payload.count > Connection.fragmentedFrom
    if isFragmented {
      isCompressed = encodeLarge(kind, payload, expiresAt)
    } else if expiresAt != .max || hasExpiring {
      // Not compressed: it may be taken back, and what the peer's decompressor has not seen later frames can't refer to.
      hasExpiring = true
      _ = wire.encodeFragment(kind, isFinal: true, payload, maskKey: random.next32(), into: &output)
    } else {
      _ = wire.encode(kind, payload, maskKey: random.next32(), into: &output)
      isCompressed = wire.compresses && output.readable[before] & 0x40 != 0
      if isCompressed { keepOriginal(kind, payload) }
    }
    var entry = FrameEntry(
      id: id, kind: UInt32(kind.rawValue), flags: flags, expiresAt: expiresAt, isCompressed: isCompressed)
    entry.isFragmented = isFragmented
    ledger.append(bytes: output.count - before, entry)
    line.statistics.payloadBytesSent &+= UInt64(truncatingIfNeeded: payload.count)
  }

  /// In fragments, so that pings and pongs need not wait for its end. True if it is compressed.
  @inline(never)
  private func encodeLarge(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer, _ expiresAt: Int64) -> Bool {
    if expiresAt != .max { hasExpiring = true }
    // A ping must not stand behind megabytes.
    if let stream { psys_tcp_limit_unsent(stream.descriptor) }
    let isCompressed = wire?.encodeFragments(
      kind, payload, compresses: !hasExpiring, into: &output, maskKey: { self.random.next32() })
    if isCompressed == true { keepOriginal(kind, payload) }
    return isCompressed == true
  }

  @inline(never)
  private func keepOriginal(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
    let queue = originals ?? MessageQueue()
    originals = queue
    queue.append(
      kind: UInt32(kind.rawValue), flags: 0, payload: payload, receivedAt: 0, expected: payload.count)
  }

  /// Frames a text of the library's own: a login, a subscription, a heartbeat.
  func encodeOwn(_ payload: [UInt8]) {
    guard let wire, takesMessages else { return }
    let before = output.count
    var entry = FrameEntry(id: 0, kind: MessageCode.text, isMessage: false)
    payload.withUnsafeBytes { bytes in
      if bytes.count > Connection.fragmentedFrom {
        entry.isFragmented = true
        _ = wire.encodeFragments(
          .text, bytes, compresses: !hasExpiring, into: &output, maskKey: { self.random.next32() })
      } else if hasExpiring {
        _ = wire.encodeFragment(.text, isFinal: true, bytes, maskKey: random.next32(), into: &output)
      } else {
        _ = wire.encode(.text, bytes, maskKey: random.next32(), into: &output)
      }
    }
    ledger.append(bytes: output.count - before, entry)
    line.statistics.payloadBytesSent &+= UInt64(truncatingIfNeeded: payload.count)
    line.statistics.sessionMessagesSent &+= 1
  }

  /// Writes now, or leaves it to the loop when this send is one of many: those leave in few writes. A send that answers
  /// something that has just arrived is none of many.
  func flushSoon() {
    if writeIsBlocked { return }
    if lastReceivedAt > lastWriteAt {
      lastWriteAt = lastReceivedAt
      flush()
      return
    }
    let now = Clock.monotonic()
    if output.count >= Connection.worthWriting || now &- lastWriteAt >= Connection.burstGap {
      lastWriteAt = now
      flush()
      return
    }
    sendsSinceFlush &+= 1
    if flushIsComing { return }
    flushIsComing = true
    host.loop.post(self, tag: Post.flush)
    host.hurry()
  }

  /// The loop's part in a burst: writes what the senders have left, and looks again while they go on.
  func flushForBurst() {
    guard phase == .open || phase == .closing else {
      flushIsComing = false
      return
    }
    if !writeIsBlocked { flush() }
    guard sendsSinceFlush > 0 else {
      flushIsComing = false
      return
    }
    sendsSinceFlush = 0
    flushTimer = host.loop.schedule(self, tag: Timer.flush, deadline: Clock.monotonic() &+ Connection.burstLook)
  }

  /// Writes until all is written or the socket is full.
  func flush() {
    if brokenWrite != nil { return }
    writeIsBlocked = false
    while let stream {
      if control.count == 0 && owedPong != nil { payOwedPong() }
      if control.count > 0 && !outputIsCut {
        guard write(control.readable, to: stream, consume: { self.control.consume($0) }) else { return }
        continue
      }
      if output.count > 0 {
        // The loop may be late, whoever drives it.
        if hasExpiring && hasExpired(below: .max) {
          takeBackExpiring()
          if output.count == 0 {
            hasExpiring = false
            continue
          }
        }
        let before = output.count
        let part = ledger.bytesToBoundary(of: before)
        outbound.begin(&ledger)
        let bytes = UnsafeRawBufferPointer(rebasing: output.readable[0..<part])
        let goesOn = write(bytes, to: stream, consume: { self.output.consume($0) })
        // A frame that was begun must be finished before anything else goes.
        if output.count < before { wroteOutput(before - output.count) }
        outputIsCut = before - output.count != part
        if output.count > 0 { outbound.begun(&ledger, upTo: committedBytes) }
        if output.count == 0 { hasExpiring = false }
        if goesOn { continue }
        if hasExpiring { takeBackExpiring() }
        return
      }
      // Framing what waits may find a reason to end the connection.
      if line.refill(self) { continue }
      guard self.stream != nil, let close = pendingClose, !line.keepsMessagesBack(for: self) else { return }
      pendingClose = nil
      let before = output.count
      close.reason.withUnsafeBytes { reason in
        _ = wire?.encodeClose(code: close.code, reason: reason, maskKey: random.next32(), into: &output)
      }
      ledger.skip(bytes: output.count - before)
      if output.count == before { return }
      watchClose()
    }
  }

  @inline(__always)
  func wroteOutput(_ count: Int) {
    ledger.written(bytes: count)
    if outbound.settle(&ledger) { line.messagesLeft(self) }
    if let originals, originals.count > ledger.count { forget(originals) }
  }

  /// No more of them than there are frames on their way; the oldest are those of frames that are written.
  @inline(never)
  private func forget(_ queue: MessageQueue) {
    while queue.count > ledger.count, let slice = queue.take(queue.count - ledger.count) {
      queue.giveBack(slice.segment)
    }
  }

  /// What goes out with the next write, whatever that is.
  private var committedBytes: Int { stream?.committedBytes ?? 0 }

  /// The stream is committed to a message whose time is over.
  var isCommittedToExpired: Bool { hasExpiring && hasExpired(below: committedBytes) }

  /// A message in `output` of which nothing is written has expired; it begins below so many bytes.
  private func hasExpired(below limit: Int) -> Bool {
    let now = Clock.monotonic()
    var index = ledger.firstUnstarted
    while let entry = ledger.entry(index), ledger.bytesBefore(entry) < limit {
      if entry.isMessage && entry.expiresAt <= now { return true }
      index &+= 1
    }
    return false
  }

  /// Better no connection than an order that goes out late: the peer can read nothing of what the stream is committed to
  /// and has not wholly written.
  func leaveLate() {
    end(Failure(.io, "\(url.redacted): the network did not take a message within its time to live"))
  }

  /// The peer does not take more for now: what may expire goes back to the client, with all behind it, so that it does
  /// not leave late. Not logins and the library's own texts, nor what stands before them.
  private func takeBackExpiring() {
    var from = ledger.count
    var index = ledger.count
    let unstarted = ledger.firstUnstarted
    let committed = committedBytes
    while index > unstarted, let entry = ledger.entry(index &- 1), entry.isMessage,
      !entry.flags.contains(.first), ledger.bytesBefore(entry) >= committed
    {
      index &-= 1
      if entry.expiresAt != .max { from = index }
    }
    guard let first = ledger.entry(from) else { return }
    putBack(from: from, isEnding: false)
    output.truncate(to: ledger.bytesBefore(first))
    ledger.removeAll(from: from)
    outputIsCut = outputIsCut && output.count > 0
    line.rescheduleFlow()
  }

  /// False when the socket is full or gone.
  private func write(_ bytes: UnsafeRawBufferPointer, to stream: ByteStream, consume: (Int) -> Void) -> Bool {
    line.statistics.writes &+= 1
    switch stream.write(bytes) {
    case .bytes(let count):
      line.statistics.bytesSent &+= UInt64(count)
      consume(count)
      return true
    case .wouldBlock:
      writeIsBlocked = true
      beginUpload()
      return false
    case .end:
      return false
    case .failed(let error):
      writeFailed(error)
      return false
    }
  }

  /// What the peer sent before it went, a refusal or a close frame perhaps, says more than the failed write: the reader
  /// ends the connection, with its own view of why. While reading pauses it does so at the consumer's pace.
  private func writeFailed(_ error: TransportError) {
    brokenWrite = error
    writeIsBlocked = true
    line.canSendChanged()
    readSoon()
    host.hurry()
  }
}
