// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From the socket to the client's queue. The client's lock is held; only the driver reads: the buffer is the loop's.
extension Connection {
  /// What the queue may hold beyond its limit when this side leaves while reading pauses.
  private static let lastBytes = 8 << 20
  /// Chunks of one readable event: more than one only where TLS holds back what epoll can't see.
  private static let chunksPerEvent = 8

  /// Reads what is there.
  func readInput() {
    if pendingFailure != nil {
      // No answer can leave any more.
      if brokenWrite != nil { failPending() }
      return
    }
    if unread.count > 0 && !readingPaused { receiveUnread() }
    var chunks = 0
    while let stream, !readingPaused, pendingFailure == nil {
      var wasFull = false
      switch stream.read(into: host.readBuffer) {
      case .bytes(let count):
        lastReceivedAt = max(lastReceivedAt, host.loop.turnTime)
        client.statistics.bytesReceived &+= UInt64(count)
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
        inputEnded(endOfStream)
        return
      case .failed(let error):
        inputEnded(Failure(error))
        return
      }
      if !wasFull && !inputIsEnding && !overTLS { return }
      guard let stream = self.stream else { return }
      // A chunk that fills the buffer goes to the consumer while it is in the cache; the rest has its turn after that.
      chunks += wasFull ? Connection.chunksPerEvent : 1
      if !wasFull && !inputIsEnding && !stream.hasBufferedInput { return }
      if chunks >= Connection.chunksPerEvent {
        if !readingPaused { readSoon() }
        return
      }
    }
  }

  /// Has the loop read when the present turn, or its wait, is over. Once: each of several would read, and ask again.
  func readSoon() {
    if readsAgain { return }
    readsAgain = true
    host.loop.post(self, tag: Post.readAgain)
  }

  /// The consumer has made room.
  func resumeReading() {
    readingPaused = false
    lastReceivedAt = Clock.monotonic()
    serverHeartbeatAt = lastReceivedAt
    // What arrived meanwhile had its event then.
    readSoon()
  }

  /// Nothing can be written any more, and nothing more is there to be read.
  func readingIsOver(_ failure: Failure) { if phase == .upgrading { upgradeEnded(failure) } else { end(failure) } }

  var endOfStream: Failure {
    Failure(.endOfStream, "\(url.redacted): the server ended the connection without a close frame")
  }

  private func inputEnded(_ failure: Failure) {
    switch phase {
    case .upgrading: upgradeEnded(failure)
    // This side has closed; an end without the peer's close frame is still an end.
    case .closing: end(client.closedByCaller())
    default: end(failure)
    }
  }

  /// Frames of one chunk; what there is no room for is held back.
  func receiveFrames(_ chunk: UnsafeMutableRawBufferPointer, receivedAt: Int64) {
    let used = takeFrames(chunk, receivedAt: receivedAt)
    if readingPaused && used < chunk.count { unread.append(UnsafeRawBufferPointer(rebasing: chunk[used...])) }
  }

  /// Returns how far it came.
  private func takeFrames(_ chunk: UnsafeMutableRawBufferPointer, receivedAt: Int64) -> Int {
    guard let wire else { return chunk.count }
    let client = client
    let isTail = client.tail === self
    let inbox = isTail ? client.front ?? client.inbox : client.inbox
    inbox.beginChunk()
    if client.handles { client.arrivedAt = lastReceivedAt }
    let wasEmpty = inbox.isEmpty
    let limit =
      client.options.receiveQueueBytes &+ (ignoresLimit ? Connection.lastBytes : 0)
      &- (isTail ? 0 : client.front?.bytes ?? 0)
    var offset = 0
    var received: UInt64 = 0
    var payloadBytes = 0
    var hasData = false
    var discards = client.closeStarted || discardsRest
    defer {
      client.statistics.messagesReceived &+= received
      client.statistics.payloadBytesReceived &+= UInt64(truncatingIfNeeded: payloadBytes)
      if (received > 0 || hasData) && phase != .ended { client.dataArrived(at: lastReceivedAt, on: self) }
    }
    reading: while true {
      switch wire.receive(chunk, from: &offset) {
      case .needMoreBytes:
        break reading
      case .message(let message):
        if !Client.hasMemory(for: message.payload.count) {
          if isTail {
            client.discardReceived()
            continue
          }
          if wasEmpty && !inbox.isEmpty { client.wake() }
          wireFailed(.noMemory)
          return chunk.count
        }
        if discards {
          client.discardReceived()
          continue
        }
        if client.handles { client.read(message.payload, on: self) }
        if client.inspects && client.inspect(message, on: self) {
          // With it another connection may have taken over, and other messages were read.
          if phase == .ended { return offset }
          if client.handles { client.passOver(on: self) }
          if (inbox.bytes < limit && !client.pausesForPrimary) || client.successor === self { continue }
        } else if client.successor === self {
          client.park(message, receivedAt: receivedAt, from: self)
          if phase == .ended { return offset }
          if readingPaused {
            client.statistics.readingPauses &+= 1
            break reading
          }
          // What it brings waits elsewhere, and is bounded there.
          if inbox.bytes < limit || client.successor === self { continue }
        } else if client.handles {
          hasData = true
          client.accept(message, receivedAt: receivedAt)
        } else {
          received &+= 1
          payloadBytes &+= message.payload.count
          inbox.append(
            kind: UInt32(message.kind.rawValue), flags: message.flags, payload: message.payload,
            receivedAt: receivedAt, expected: chunk.count)
        }
        if inbox.bytes >= limit || client.pausesForPrimary {
          if client.leavesSlowConsumer(self) { return offset }
          if client.boundsQueue { continue }
          if ignoresLimit {
            discardsRest = true
            discards = true
            continue
          }
          readingPaused = true
          client.statistics.readingPauses &+= 1
          break reading
        }
      case .ping(let payload):
        if isTail { continue }
        answerPing(payload)
        if stream == nil { break reading }
      case .pong(let payload):
        if !isTail { pongArrived(payload) }
      case .close(let code, let reason):
        if wasEmpty && !inbox.isEmpty { client.wake() }
        if !isTail { peerClosed(code, reason) }
        return chunk.count
      case .failure(let problem):
        if wasEmpty && !inbox.isEmpty { client.wake() }
        if isTail { return chunk.count }
        if inbox.isEmpty || phase != .open {
          wireFailed(problem)
        } else {
          holdFailure(problem)
        }
        return chunk.count
      }
    }
    if wasEmpty && !inbox.isEmpty { client.wake() }
    if control.count > 0 { flush() }
    return offset
  }

  /// The rest of a chunk, which was kept until the consumer has made room.
  func receiveUnread() {
    // Moved out first: the connection may end within it.
    var input = ByteQueue()
    swap(&input, &unread)
    let used = takeFrames(UnsafeMutableRawBufferPointer(mutating: input.readable), receivedAt: Clock.realtime())
    input.consume(used)
    if readingPaused { swap(&input, &unread) }
  }

  /// Frames that come in one chunk are judged together, yet the messages before a bad one are good: their answers go
  /// before the close frame. The consumer shows that it is done with them by asking for more.
  private func holdFailure(_ problem: WireFailure) {
    pendingFailure = problem
    closeTimer = host.loop.schedule(
      self, tag: Timer.failure, deadline: Clock.monotonic() &+ client.answerGrace)
    if control.count > 0 { flush() }
  }

  func failPending() {
    guard phase != .ended, let problem = pendingFailure else { return }
    pendingFailure = nil
    wireFailed(problem)
  }

  private func wireFailed(_ problem: WireFailure) {
    let code: StatusCode =
      switch problem.kind {
      case .protocolError: .protocolError
      case .invalidPayload: .invalidPayload
      case .deflateError: .deflate
      case .tooBig: .tooBig
      case .noMemory: .noMemory
      }
    var why: Sentence = "\(url.redacted): \(problem.text)"
    if problem.kind == .tooBig { why.add("; max_message_size is \(client.options.maxMessageSize) bytes") }
    end(Failure(code, why), farewell: .close(problem.closeCode, problem.text))
  }

  private func peerClosed(_ code: UInt16, _ reason: UnsafeRawBufferPointer) {
    // RFC 6455 §5.5.1: the answer carries the code that came; none if none came.
    end(closedByPeer(code, reason), farewell: .close(code == CloseCode.absent ? nil : code, ""))
  }

  func closedByPeer(_ code: UInt16, _ reason: UnsafeRawBufferPointer) -> Failure {
    let reasonText = String(bytes: reason)
    var failure: Failure
    if phase == .closing {
      failure = client.closedByCaller()
    } else {
      var why: Sentence = "\(url.redacted): the server closed the connection with code \(code)"
      if !reasonText.hasNoBytes { why.add(" (\(quoted(reasonText)))") }
      failure = Failure(.peerClosed, why)
    }
    failure.closeCode = code
    failure.closeReason = reasonText
    failure.isFinal = client.options.fatalCloseCodes.contains(UInt32(code))
    return failure
  }
}
