// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseTransport
import PulseWire
import Synchronization

/// From the socket to the consumer.
extension Client {
  /// Chunks of one readable event: more than one only where TLS holds back what epoll can't see.
  private static let chunksPerEvent = 8
  private static let prefetch = 256

  // MARK: The consumer's side

  /// Fills `batch` with up to `max` messages. Their number, or a status code.
  package func receive(into batch: Batch, max: Int, timeout: Int64) -> Int32 {
    guard batch.enter() else { return StatusCode.busy.rawValue }
    defer { batch.leave() }
    // What `pulsews_recv` has taken and not handed out comes first. If another thread is inside it, the two take turns
    // anyhow.
    if singleBatchIsFilled.load(ordering: .relaxed) && singleBatch.enter() {
      defer { singleBatch.leave() }
      if let slice = singleBatch.rest(max) {
        _ = batch.empty()
        batch.fill(slice)
        return Int32(truncatingIfNeeded: batch.count)
      }
      singleBatchIsFilled.store(false, ordering: .relaxed)
    }
    return fill(batch, max: max, timeout: timeout)
  }

  /// Fills a batch that the caller has entered.
  private func fill(_ batch: Batch, max: Int, timeout: Int64) -> Int32 {
    mutex.lock()
    defer { mutex.unlock() }
    if let used = batch.empty() { inbox.giveBack(used) }
    if inbox.isEmpty && phase != .ended && !closeStarted {
      if heldFailure == nil { awaitMessage(timeout) } else { failHeld() }
    }
    if let slice = inbox.take(max < 1 << 30 ? max : 1 << 30) {
      batch.fill(slice)
      if readingPaused { resumeReading() }
      return Int32(truncatingIfNeeded: batch.count)
    }
    if closeStarted { return StatusCode.closed.rawValue }
    if phase == .ended { return (failure?.code ?? .closed).rawValue }
    if phase == .idle { return StatusCode.notConnected.rawValue }
    return StatusCode.timeout.rawValue
  }

  /// As above for one message. The client's own batch takes many at once and hands them out one by one, which needs
  /// neither the lock nor a reference count.
  package func receive(_ message: UnsafeMutableRawPointer, timeout: Int64) -> Int32 {
    guard singleBatch.enter() else { return StatusCode.busy.rawValue }
    defer { singleBatch.leave() }
    if let record = singleBatch.next() {
      message.copyMemory(from: record, byteCount: MemoryLayout<MessageRecord>.size)
      return StatusCode.ok.rawValue
    }
    let status = fill(singleBatch, max: Client.prefetch, timeout: timeout)
    guard status > 0, let record = singleBatch.next() else { return status }
    if status > 1 { singleBatchIsFilled.store(true, ordering: .relaxed) }
    message.copyMemory(from: record, byteCount: MemoryLayout<MessageRecord>.size)
    return StatusCode.ok.rawValue
  }

  private func awaitMessage(_ timeout: Int64) {
    if phase == .idle { return }
    // What this thread has sent before leaves before it waits for an answer.
    if output.count > 0 && !writeIsBlocked { flush() }
    if timeout == 0 {
      driveBriefly()
    } else {
      _ = block(until: Client.deadline(after: timeout)) {
        !self.inbox.isEmpty || self.phase == .ended || self.closeStarted
      }
    }
  }

  /// The consumer has made room: reading goes on when half of it is free.
  private func resumeReading() {
    guard inbox.bytes <= options.receiveQueueBytes / 2 else { return }
    readingPaused = false
    lastReceivedAt = Clock.monotonic()
    // What arrived meanwhile had its event then.
    readSoon()
  }

  // MARK: The driver's side

  /// Reads what is there. Only the driver calls this: the buffer is the loop's.
  func readInput() {
    if heldFailure != nil {
      // No answer can leave any more.
      if brokenWrite != nil { failHeld() }
      return
    }
    if heldInput.count > 0 && !readingPaused { receiveHeldInput() }
    var chunks = 0
    while let stream, !readingPaused, heldFailure == nil {
      var wasFull = false
      switch stream.read(into: host.readBuffer) {
      case .bytes(let count):
        lastReceivedAt = host.loop.turnTime
        statistics.bytesReceived &+= UInt64(count)
        wasFull = count == host.readBuffer.count
        let chunk = UnsafeMutableRawBufferPointer(rebasing: host.readBuffer[0..<count])
        if phase == .upgrading {
          upgradeBytes(chunk, receivedAt: Clock.realtime())
        } else {
          receiveFrames(chunk, receivedAt: Clock.realtime())
        }
      case .wouldBlock:
        return
      case .end:
        inputEnded(Failure(.endOfStream, "\(url.redacted): the server ended the connection without a close frame"))
        return
      case .failed(let error):
        inputEnded(Failure(error))
        return
      }
      if !wasFull && !inputIsEnding && tlsContext == nil { return }
      guard let stream = self.stream else { return }
      // A chunk that fills the buffer goes to the consumer while it is in the cache; the rest has its turn after that.
      chunks += wasFull ? Client.chunksPerEvent : 1
      if !wasFull && !inputIsEnding && !stream.hasBufferedInput { return }
      if chunks >= Client.chunksPerEvent {
        if !readingPaused {
          readSoon()
        }
        return
      }
    }
  }

  /// Has the loop read when the present turn, or its wait, is over. Once: each of several would read, and ask again.
  func readSoon() {
    if readsAgain { return }
    readsAgain = true
    host.loop.post(self, tag: Signal.readAgain)
  }

  private func inputEnded(_ failure: Failure) {
    switch phase {
    case .upgrading:
      upgradeEnded(failure)
    case .closing:
      // This side has closed; an end without the peer's close frame is still an end.
      peerCloseCode = 1006
      end(closedByCaller())
    default:
      peerCloseCode = 1006
      end(failure)
    }
  }

  /// Frames of one chunk, or of what was held back of one.
  func receiveFrames(_ chunk: UnsafeMutableRawBufferPointer, receivedAt: Int64) {
    guard let wire else { return }
    inbox.beginChunk()
    let wasEmpty = inbox.isEmpty
    let limit = options.receiveQueueBytes
    var offset = 0
    var received: UInt64 = 0
    defer { statistics.messagesReceived &+= received }
    reading: while true {
      switch wire.receive(chunk, from: &offset) {
      case .needMoreBytes:
        break reading
      case .message(let message):
        if closeStarted {
          statistics.messagesDropped &+= 1
          continue
        }
        received &+= 1
        var flags: UInt32 = message.isASCII ? MessageCode.isASCII : 0
        if message.wasCompressed { flags |= MessageCode.wasCompressed }
        inbox.append(
          kind: UInt32(message.kind.rawValue), flags: flags, payload: message.payload, receivedAt: receivedAt,
          expected: chunk.count)
        if inbox.bytes >= limit {
          readingPaused = true
          if offset < chunk.count { hold(chunk, from: offset) }
          break reading
        }
      case .ping(let payload):
        answerPing(payload)
        if stream == nil { break reading }
      case .pong(let payload):
        pongArrived(payload)
      case .close(let code, let reason):
        if wasEmpty && !inbox.isEmpty { wake() }
        peerClosed(code, reason)
        return
      case .failure(let problem):
        if wasEmpty && !inbox.isEmpty { wake() }
        if inbox.isEmpty || phase != .open {
          wireFailed(problem)
        } else {
          holdFailure(problem)
        }
        return
      }
    }
    if wasEmpty && !inbox.isEmpty { wake() }
    if control.count > 0 { flush() }
  }

  /// Keeps the rest of a chunk, which is in the loop's buffer, until the consumer has made room.
  private func hold(_ chunk: UnsafeMutableRawBufferPointer, from offset: Int) {
    statistics.readingPauses &+= 1
    heldInput.append(UnsafeRawBufferPointer(rebasing: chunk[offset...]))
  }

  private func receiveHeldInput() {
    // Moved out first: the frames may be held back again.
    var input = ByteQueue()
    swap(&input, &heldInput)
    let bytes = UnsafeMutableRawBufferPointer(mutating: input.readable)
    receiveFrames(bytes, receivedAt: Clock.realtime())
  }

  /// Frames that come in one chunk are judged together, yet the messages before a bad one are good: their answers go
  /// before the close frame. The consumer shows that it is done with them by asking for more.
  private func holdFailure(_ problem: WireFailure) {
    heldFailure = problem
    closeTimer = host.loop.schedule(
      self, tag: Signal.failure, deadline: Clock.monotonic() &+ answerGrace)
    if control.count > 0 { flush() }
  }

  func failHeld() {
    guard phase != .ended, let problem = heldFailure else { return }
    heldFailure = nil
    wireFailed(problem)
  }

  private func wireFailed(_ problem: WireFailure) {
    let code: StatusCode =
      switch problem.kind {
      case .protocolError: .protocolError
      case .invalidPayload: .invalidPayload
      case .deflateError: .deflate
      case .tooBig: .tooBig
      }
    peerCloseCode = 1006
    if let wire, !wire.closeSent {
      let reason = problem.text
      let bytes = UnsafeRawBufferPointer(start: reason.utf8Start, count: reason.utf8CodeUnitCount < 123 ? reason.utf8CodeUnitCount : 123)
      _ = wire.encodeClose(code: problem.closeCode, reason: bytes, maskKey: random.next32(), into: &output)
    }
    var sentence = "\(url.redacted): \(text(problem.text))"
    if problem.kind == .tooBig { sentence += "; max_message_size is \(options.maxMessageSize) bytes" }
    end(Failure(code, sentence))
  }

  private func peerClosed(_ code: UInt16, _ reason: UnsafeRawBufferPointer) {
    peerCloseCode = code
    peerCloseReason = String(decoding: reason, as: UTF8.self)
    if let wire, !wire.closeSent {
      // RFC 6455 §5.5.1: the answer carries the code that came; none if none came.
      let echo: UInt16? = code == 1005 ? nil : code
      _ = wire.encodeClose(
        code: echo, reason: UnsafeRawBufferPointer(start: nil, count: 0), maskKey: random.next32(), into: &output)
    }
    if closeStarted {
      end(closedByCaller())
    } else {
      var sentence = "\(url.redacted): the server closed the connection with code \(code)"
      if !peerCloseReason.utf8.isEmpty { sentence += " (\(quoted(peerCloseReason)))" }
      end(Failure(.peerClosed, sentence))
    }
  }
}
