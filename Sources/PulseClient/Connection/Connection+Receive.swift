// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
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
        line.statistics.bytesReceived &+= UInt64(count)
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
    let inbound = client.inbound
    var intake = Intake(self, receivedAt, expected: chunk.count)
    var offset = 0
    reading: while true {
      switch wire.receive(chunk, from: &offset) {
      case .message(let message):
        let fate = intake.isPlain && message.payload.count < Client.largeMessage ? .copy : sort(message, inbound, &intake)
        if fate == .copy { intake.copy(message) }
        if fate == .passed || (fate != .last && (intake.hasRoom || goesOnFull(&intake))) { continue }
        break reading
      case .needMoreBytes: break reading
      case .ping(let payload):
        if intake.isTail { continue }
        answerPing(payload)
        if stream == nil { break reading }
      case .pong(let payload):
        if !intake.isTail { pongArrived(payload) }
      case .close(let code, let reason):
        intake.wake()
        if !intake.isTail { peerClosed(code, reason) }
        break reading
      case .failure(let problem):
        intake.wake()
        if !intake.isTail { inputIsBad(problem, isBehindMessages: !intake.queue.isEmpty) }
        break reading
      }
    }
    finish(intake)
    return offset
  }

  /// What messages of a chunk meet.
  private struct Intake {
    let client: Client
    let queue: MessageQueue
    let isTail: Bool
    let receivedAt: Int64
    let expected: Int
    /// What the queue may hold.
    let limit: Int
    private let wasEmpty: Bool
    /// Nothing but a copy to the queue is to be done.
    var isPlain: Bool
    /// Nobody wants them any more.
    var discards: Bool
    var hasData = false
    private(set) var received = 0
    private(set) var payloadBytes = 0

    init(_ connection: Connection, _ receivedAt: Int64, expected: Int) {
      client = connection.client
      let inbound = client.inbound
      isTail = connection.line.tail === connection
      queue = isTail ? inbound.front ?? inbound.queue : inbound.queue
      queue.beginChunk()
      inbound.moment = Moment(now: connection.lastReceivedAt, realtime: receivedAt)
      self.receivedAt = receivedAt
      self.expected = expected
      limit =
        inbound.rules.limit &+ (connection.ignoresLimit ? Connection.lastBytes : 0)
        &- (isTail ? 0 : inbound.front?.bytes ?? 0)
      wasEmpty = queue.isEmpty
      discards = client.closing.hasBegun || connection.discardsRest
      isPlain = !inbound.handles && !client.settings.inspects && !discards && connection.line.successor !== connection
    }

    var hasRoom: Bool { queue.bytes < limit }

    @inline(__always)
    mutating func copy(_ message: WireMessage) {
      received &+= 1
      payloadBytes &+= message.payload.count
      queue.append(
        kind: UInt32(message.kind.rawValue), flags: message.flags, payload: message.payload, receivedAt: receivedAt,
        expected: expected)
    }

    func wake() { if wasEmpty && !queue.isEmpty { client.wake() } }
  }

  /// What becomes of a message.
  private enum Fate {
    /// It is to be copied to the queue.
    case copy
    /// It was queued, or handled.
    case taken
    /// The queue has no more than before.
    case passed
    /// Nothing more of the chunk is to be read.
    case last
  }

  /// A message that may be more than a copy.
  @inline(__always)
  private func sort(_ message: WireMessage, _ inbound: Inbound, _ intake: inout Intake) -> Fate {
    if !Client.hasMemory(for: message.payload.count) {
      if intake.isTail {
        client.inbound.discard()
        return .passed
      }
      intake.wake()
      wireFailed(.noMemory)
      return .last
    }
    if intake.discards {
      client.inbound.discard()
      return .passed
    }
    if inbound.handles { inbound.read(message.payload, line: &sequences) }
    if client.settings.inspects && line.inspect(message, on: self) {
      // With it another connection may have taken over, and other messages were read.
      if phase == .ended { return .last }
      if line.successor === self { return .passed }
      if inbound.handles { inbound.passOver() }
      return .taken
    }
    if line.successor === self {
      // What it brings waits elsewhere, and is bounded there.
      line.park(message, receivedAt: intake.receivedAt, from: self)
      if readingPaused { line.statistics.readingPauses &+= 1 }
      return phase == .ended || readingPaused ? .last : .passed
    }
    if !inbound.handles { return .copy }
    intake.hasData = true
    line.accept(message, receivedAt: intake.receivedAt)
    return .taken
  }

  /// The queue is full: whether more of the chunk is to be read.
  @inline(never)
  private func goesOnFull(_ intake: inout Intake) -> Bool {
    if line.leavesSlowConsumer(self) { return false }
    if client.inbound.rules.policy.makesRoom { return true }
    if ignoresLimit {
      discardsRest = true
      intake.discards = true
      intake.isPlain = false
      return true
    }
    readingPaused = true
    line.statistics.readingPauses &+= 1
    return false
  }

  private func finish(_ intake: Intake) {
    client.inbound.counts.messages &+= UInt64(truncatingIfNeeded: intake.received)
    client.inbound.counts.payloadBytes &+= UInt64(truncatingIfNeeded: intake.payloadBytes)
    if (intake.received > 0 || intake.hasData) && phase != .ended {
      line.dataArrived(on: self)
    }
    intake.wake()
    client.carryOut()
    if control.count > 0 { flush() }
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
  private func inputIsBad(_ problem: WireFailure, isBehindMessages: Bool) {
    if !isBehindMessages || phase != .open { return wireFailed(problem) }
    pendingFailure = problem
    closeTimer = host.loop.schedule(
      self, tag: Timer.failure, deadline: Clock.monotonic() &+ client.answerGrace)
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
    let failure: Failure
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
