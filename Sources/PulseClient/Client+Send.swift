// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseTransport
import PulseWire

/// From the caller to the socket.
extension Client {
  /// Frames are made while fewer bytes than this wait to be written; the rest waits as messages in the outbox.
  private static let outputLimit = 64 << 10
  /// So many bytes are worth a write of their own.
  private static let worthWriting = 16 << 10
  /// Sends that follow a write sooner than this (ns) belong to a burst: they leave together.
  private static let burstGap: Int64 = 10_000
  /// So long after a write the loop looks whether a burst has left something behind (ns).
  private static let burstLook: Int64 = 100_000
  private static let largestMessage = 1 << 30
  private static let largeMessage = 1 << 20
  /// A peer that sends pings and does not read the pongs gets no more of them.
  private static let controlLimit = 64 << 10

  package func send(kind: UInt32, payload: UnsafeRawBufferPointer, timeout: Int64) -> StatusCode {
    let isControl = kind == MessageCode.ping || kind == MessageCode.pong
    guard isControl || kind == MessageCode.text || kind == MessageCode.binary else { return .invalidArgument }
    if isControl && payload.count > 125 { return .invalidArgument }
    if payload.count > Client.largestMessage { return .tooBig }
    if payload.count >= Client.largeMessage && !hasMemory(for: payload.count) { return .noMemory }
    if kind == MessageCode.text && !isValidUTF8(payload) { return .notUTF8 }
    mutex.lock()
    defer { mutex.unlock() }
    guard canSend else { return sendProblem() }
    if isControl { return sendControl(kind, payload) }
    guard let message = MessageKind(rawValue: UInt8(truncatingIfNeeded: kind)) else { return .invalidArgument }
    if outbox.isEmpty && output.count < Client.outputLimit {
      encode(message, payload)
    } else {
      let result = queue(kind, payload, timeout: timeout)
      if result != .ok { return result }
    }
    statistics.messagesAccepted &+= 1
    flushSoon()
    return .ok
  }

  /// Swift ends the process when an allocation fails. The one that a caller can make fail is that of a large message,
  /// so that it is tried first: the copy, or the frame, with the growth of the queue it goes into.
  private func hasMemory(for count: Int) -> Bool {
    guard let memory = psys_malloc(count &* 3) else { return false }
    psys_free(memory)
    return true
  }

  private var canSend: Bool { phase == .open && !closeStarted && brokenWrite == nil }

  private func sendProblem() -> StatusCode {
    if closeStarted { return .closed }
    if phase == .ended, failure?.code == .closed { return .closed }
    return .notConnected
  }

  private func sendControl(_ kind: UInt32, _ payload: UnsafeRawBufferPointer) -> StatusCode {
    guard let wire, control.count < Client.controlLimit else { return .queueFull }
    if kind == MessageCode.ping {
      wire.encodePing(payload, maskKey: random.next32(), into: &control)
      statistics.pingsSent &+= 1
    } else {
      wire.encodePong(payload, maskKey: random.next32(), into: &control)
      statistics.pongsSent &+= 1
    }
    if !writeIsBlocked {
      flush()
    }
    return .ok
  }

  @inline(__always)
  private func encode(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
    guard let wire else { return }
    let before = output.count
    _ = wire.encode(kind, payload, maskKey: random.next32(), into: &output)
    ledger.append(bytes: output.count - before)
  }

  private func queue(_ kind: UInt32, _ payload: UnsafeRawBufferPointer, timeout: Int64) -> StatusCode {
    func hasRoom() -> Bool {
      outbox.isEmpty
        || (outbox.count < options.messageQueueSize
          && outbox.bytes &+ payload.count &+ MessageQueue.overhead <= options.messageQueueBytes)
    }
    if !hasRoom() {
      if timeout != 0 {
        _ = block(until: Client.deadline(after: timeout)) {
          if hasRoom() || !self.canSend { return true }
          // Each time anew: what came free may have gone to another sender.
          self.sendersWait = true
          return false
        }
        guard canSend else { return sendProblem() }
      }
      if !hasRoom() {
        roomIsAwaited = true
        return .queueFull
      }
    }
    outbox.append(kind: kind, flags: 0, payload: payload, receivedAt: 0, expected: payload.count)
    return .ok
  }

  /// Writes now, or leaves it to the loop when this send is one of many: those leave in few writes. A send that answers
  /// something that has just arrived is none of many.
  private func flushSoon() {
    if writeIsBlocked { return }
    if lastReceivedAt > lastWriteAt {
      lastWriteAt = lastReceivedAt
      flush()
      return
    }
    let now = Clock.monotonic()
    if output.count >= Client.worthWriting || now &- lastWriteAt >= Client.burstGap {
      lastWriteAt = now
      flush()
      return
    }
    sendsSinceFlush &+= 1
    if flushIsComing { return }
    flushIsComing = true
    host.loop.post(self, tag: Signal.flush)
    host.hurry()
  }

  /// The loop's part in a burst: writes what the senders have left, and looks again while they go on.
  func flushForBurst() {
    guard phase == .open || phase == .closing else {
      flushIsComing = false
      return
    }
    if !writeIsBlocked && output.count > 0 { flush() }
    guard sendsSinceFlush > 0 else {
      flushIsComing = false
      return
    }
    sendsSinceFlush = 0
    flushTimer = host.loop.schedule(self, tag: Signal.flush, deadline: Clock.monotonic() &+ Client.burstLook)
  }

  /// Writes until all is written or the socket is full. `mutex` is held.
  func flush() {
    if brokenWrite != nil { return }
    writeIsBlocked = false
    while hasSomethingToWrite, let stream {
      if control.count == 0 && owedPong != nil { payOwedPong() }
      if control.count > 0 && !outputIsCut {
        guard write(control.readable, to: stream, consume: { self.control.consume($0) }) else { return }
        continue
      }
      if output.count > 0 {
        let before = output.count
        let goesOn = write(output.readable, to: stream, consume: { self.output.consume($0) })
        outputIsCut = output.count > 0
        ledger.written(bytes: before - output.count)
        statistics.messagesSent &+= ledger.settle()
        guard goesOn else { return }
        continue
      }
      if !outbox.isEmpty {
        refill()
        continue
      }
      guard let close = pendingClose, let wire else { return }
      pendingClose = nil
      let before = output.count
      close.reason.withUnsafeBytes { reason in
        _ = wire.encodeClose(code: close.code, reason: reason, maskKey: random.next32(), into: &output)
      }
      ledger.skip(bytes: output.count - before)
    }
  }

  private var hasSomethingToWrite: Bool {
    output.count > 0 || control.count > 0 || !outbox.isEmpty || pendingClose != nil || owedPong != nil
  }

  /// False when the socket is full or gone.
  private func write(_ bytes: UnsafeRawBufferPointer, to stream: ByteStream, consume: (Int) -> Void) -> Bool {
    statistics.writes &+= 1
    switch stream.write(bytes) {
    case .bytes(let count):
      statistics.bytesSent &+= UInt64(count)
      consume(count)
      return true
    case .wouldBlock:
      writeIsBlocked = true
      return false
    case .end:
      return false
    case .failed(let error):
      writeFailed(error)
      return false
    }
  }

  /// What the peer sent before it went, a close frame perhaps, says more than the failed write: the reader ends the
  /// connection, with its own view of why. While reading pauses that is when the consumer has made room.
  private func writeFailed(_ error: TransportError) {
    if phase == .upgrading {
      peerCloseCode = 1006
      end(Failure(error))
      return
    }
    brokenWrite = error
    writeIsBlocked = true
    if sendersWait {
      sendersWait = false
      host.notify(waiter)
    }
    if roomIsAwaited {
      roomIsAwaited = false
      signalDescriptor()
    }
    if readingPaused { return }
    readSoon()
    host.hurry()
  }

  /// Frames for messages of the outbox.
  private func refill() {
    while output.count < Client.outputLimit, let slice = outbox.take(1) {
      let record = slice.records[0]
      if let kind = MessageKind(rawValue: UInt8(truncatingIfNeeded: record.kind)) { encode(kind, record.payload) }
      outbox.giveBack(slice.segment)
    }
    let hasRoom =
      outbox.count <= options.messageQueueSize / 2 && outbox.bytes <= options.messageQueueBytes / 2
    if hasRoom && sendersWait {
      sendersWait = false
      host.notify(waiter)
    }
    if hasRoom && roomIsAwaited {
      roomIsAwaited = false
      signalDescriptor()
    }
  }
}
