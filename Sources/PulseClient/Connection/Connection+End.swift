// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// The end of a connection, from either side. The client's lock is held.
extension Connection {
  /// Begins the close handshake; what was accepted before goes out first, until `sendsUntil`.
  func beginClose(_ code: UInt16?, _ reason: [UInt8], sendsUntil: Int64) {
    switch phase {
    case .resolving, .connecting, .proxying, .securing, .upgrading:
      end(client.closedByCaller())
    case .open where pendingFailure != nil:
      failPending()
    case .open:
      phase = .closing
      pendingClose = (code, reason)
      self.sendsUntil = sendsUntil
      watchClose()
      if readingPaused {
        // What follows is not delivered any more: it is counted, and must not stand before the peer's close frame.
        readingPaused = false
        readSoon()
        host.hurry()
      }
      if !writeIsBlocked { flush() }
    case .closing, .ended:
      break
    }
  }

  /// close_timeout begins, or is looked at for the last time.
  func watchClose() {
    cancel(&closeTimer)
    bytesAtLook = line.statistics.bytesSent
    let now = Clock.monotonic()
    var deadline = Clock.deadline(now, after: client.options.closeTimeout)
    if pendingClose != nil, sendsUntil > now, sendsUntil < deadline, line.queueSize > 0 { deadline = sendsUntil }
    closeTimer = host.loop.schedule(self, tag: Timer.closeDeadline, deadline: deadline)
  }

  func closeDeadlinePassed() {
    guard phase == .closing else { return }
    if pendingClose != nil, sendsUntil > 0, line.queueSize > 0 {
      // What waits for its time goes on waiting; a network that takes nothing does not get another close_timeout.
      let isStuck = writeIsBlocked && line.statistics.bytesSent == bytesAtLook
      if isStuck || Clock.monotonic() >= sendsUntil {
        sendsUntil = 0
        line.failQueued()
      }
      watchClose()
      if !writeIsBlocked { flush() }
      return
    }
    var farewell = Farewell.none
    if let pendingClose { farewell = .close(pendingClose.code, "") }
    let failure = client.closedByCaller()
    failure.text = sentence("\(failure.text); the server did not answer within close_timeout (\(seconds: client.options.closeTimeout) s)")
    end(failure, farewell: farewell)
  }

  /// Leaves an open connection at once, with a close frame but without waiting for the answer.
  func leave(_ failure: Failure) { end(failure, farewell: .close(CloseCode.normal, "")) }

  enum Farewell {
    case none
    case close(UInt16?, Literal)
  }

  /// The one way to `ended`. `farewell`: the close frame for a connection that was open.
  func end(_ failure: Failure, farewell: Farewell = .none) {
    guard phase != .ended else { return }
    if leavesAddress(failure) { return }
    if phase == .resolving { ResolverPool.leave(self) }
    let wasOpen = phase == .open || phase == .closing
    let isTail = line.tail === self
    if wasOpen && unread.count > 0 && !isTail && !client.closing.hasBegun && pendingFailure == nil {
      // What was read and waits for room is delivered all the same; it can't come again.
      readingPaused = false
      ignoresLimit = true
      receiveUnread()
      if discardsRest { client.emitDiscarded() }
      if phase == .ended { return }
    }
    phase = .ended
    cancel(&openTimer)
    cancel(&shareTimer)
    cancel(&closeTimer)
    cancel(&heartbeatTimer)
    cancel(&flushTimer)
    cancel(&sessionTimer)
    connector?.cancel()
    connector = nil
    if let registration { host.loop.unregister(registration) }
    registration = nil
    if wasOpen { returnUnwritten() }
    tls = nil
    if let stream {
      self.stream = nil
      // The stream may be committed to frames that are put back: a goodbye would push them out.
      let isClean = brokenWrite == nil && stream.committedBytes == 0
      if wasOpen && lingers && failure.code != .reset && isClean {
        sayGoodbye(farewell, on: stream)
      } else {
        stream.close()
      }
    }
    if !isTail {
      addCompression()
      wire = nil
      unread.removeAll(keepingCapacityUpTo: 0)
    }
    upgradeParser = nil
    addresses = nil
    pendingClose = nil
    pendingFailure = nil
    originals = nil
    hasExpiring = false
    owedPong = nil
    output.removeAll(keepingCapacityUpTo: 0)
    control.removeAll(keepingCapacityUpTo: 0)
    ledger = FrameLedger()
    readingPaused = false
    line.connectionEnded(self, failure)
  }

  /// The wire's part in the statistics.
  func addCompression() {
    guard let wire else { return }
    line.marks.compressedIn &+= wire.compressedBytesIn
    line.marks.inflated &+= wire.inflatedBytes
    line.marks.plainOut &+= wire.plainBytesOut
    line.marks.compressedOut &+= wire.compressedBytesOut
  }

  /// Messages of which no byte was written go back to the outbox. What is left of `output` is the rest of a frame that
  /// was cut, if any: that message counts as failed, since nobody can tell what the peer makes of it.
  private func returnUnwritten() {
    let unstarted = ledger.firstUnstarted
    var rest = output.count
    if let first = ledger.entry(unstarted) { rest = ledger.bytesBefore(first) }
    for index in 0..<unstarted {
      if let entry = ledger.entry(index) { outbound.cut(entry) }
    }
    if unstarted < ledger.count { putBack(from: unstarted, isEnding: true) }
    output.truncate(to: rest)
  }

  /// The messages from this entry on, which must be one of which no byte was written.
  func putBack(from unstarted: Int, isEnding: Bool) {
    // The originals are those of the last compressed frames in `output`.
    var compressed = 0
    for index in unstarted..<ledger.count where ledger.entry(index)?.isCompressed == true { compressed += 1 }
    while compressed > 0, let queue = originals, queue.count > compressed, let slice = queue.take(queue.count - compressed) {
      queue.giveBack(slice.segment)
    }
    let bytes = output.writable
    outbound.beginReturn()
    for index in unstarted..<ledger.count {
      guard let entry = ledger.entry(index), entry.isMessage else { continue }
      var payload = UnsafeRawBufferPointer(start: nil, count: 0)
      var slice: MessageSlice?
      if entry.isCompressed {
        slice = originals?.take(1)
        if let slice { payload = slice.records[0].payload }
      } else {
        let start = ledger.bytesBefore(entry)
        payload = UnsafeRawBufferPointer(
          WireConnection.unmaskedPayload(
            of: UnsafeMutableRawBufferPointer(rebasing: bytes[start..<(start + entry.length)])))
      }
      outbound.returned(entry, payload, isEnding: isEnding)
      withExtendedLifetime(slice?.segment) {}
    }
    outbound.endReturn()
  }

  /// The rest of a cut frame, or the control frames, and the close frame: one try to write them now, then the stream
  /// lingers.
  private func sayGoodbye(_ farewell: Farewell, on stream: ByteStream) {
    if !outputIsCut { swap(&output, &control) }
    if case .close(let code, let reason) = farewell, let wire, !wire.closeSent {
      let count = reason.count < 123 ? reason.count : 123
      _ = wire.encodeClose(
        code: code, reason: UnsafeRawBufferPointer(start: reason.start, count: count),
        maskKey: random.next32(), into: &output)
    }
    if output.count > 0, case .bytes(let count) = stream.write(output.readable) {
      line.statistics.bytesSent &+= UInt64(count)
      output.consume(count)
    }
    Linger.start(stream, rest: output.readable, host: host)
  }
}
