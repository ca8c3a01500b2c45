// SPDX-License-Identifier: Apache-2.0
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Between the connections and what keeps their messages, `inbound`. `mutex` is held.
extension Client {
  /// A message for the application, read before.
  func accept(_ message: WireMessage, receivedAt: Int64) {
    if inbound.feed?.number != nil { inbound.lastNumberAt = inbound.moment.now }
    pass(message.arrival(receivedAt))
  }

  private func pass(_ message: Inbound.Arrival) {
    if let primary {
      primary.takeFromTwin(message, inbound.moment)
    } else if twin != nil {
      merge(message, side: .url)
    } else {
      inbound.offer(message)
    }
  }

  /// A message that was parked until its connection took over.
  func deliverLater(_ record: MessageRecord) {
    inbound.feed?.read(record.payload)
    pass(Inbound.Arrival(kind: record.kind, flags: record.flags, payload: record.payload, receivedAt: record.receivedAt))
  }

  /// For the application, but not as data.
  func takeAside(_ message: WireMessage) {
    let arrival = message.arrival(Clock.realtime())
    if let primary {
      primary.takeAsideFromTwin(arrival)
    } else {
      inbound.takeAside(arrival)
    }
  }

  /// From now on another connection brings the messages.
  func startSequencesAnew() {
    if let primary {
      primary.twinIsRenewed()
    } else if let twin {
      twin.merge.renew(Side.url.rawValue)
    } else if distinguishesCopies {
      inbound.feed?.startGeneration(Clock.monotonic())
    }
  }

  /// It arrived after this side began to close. The books are the application's client's, for its twin, too.
  func discardReceived() {
    guard let primary else { return inbound.discard() }
    primary.mutex.withLock { primary.inbound.discard() }
  }

  func emitDiscarded() {
    setMoment()
    inbound.announceDiscarded(closeStarted ? "began to close" : "left the connection with a full queue")
    carryOut()
  }

  // MARK: In the queue's place

  /// From now on `tap` takes what would be queued.
  package func setTap(_ tap: MessageTap) -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if isClosedForGood { return .closed }
    return inbound.setTap(tap) ? .ok : .busy
  }

  /// The queue takes messages again, if it was that tap that did.
  package func removeTap(_ tap: MessageTap) {
    mutex.lock()
    inbound.removeTap(tap)
    mutex.unlock()
  }

  // MARK: A full queue

  /// The connection is left until the application has taken half of the queue. True if that was to be done.
  func leavesSlowConsumer(_ connection: Connection) -> Bool {
    guard options.receiveQueuePolicy == .disconnect, !connection.ignoresLimit else { return false }
    connection.leave(
      Failure(
        .slowConsumer,
        "\(connection.url.redacted): receive_queue_bytes (\(options.receiveQueueBytes)) wait to be taken by the application"
      ))
    return true
  }

  /// After it was left for a slow consumer the next attempt waits for half of the queue to be free.
  var waitsForConsumer: Bool { options.receiveQueuePolicy == .disconnect && (pausesForPrimary || !inbound.isHalfFree) }

  // MARK: Staleness

  /// Data came with the last chunk.
  @inline(__always)
  func dataArrived(on connection: Connection) {
    if connection === successor { return }
    inbound.dataArrived()
    if marks.awaitsFirstMessage {
      marks.awaitsFirstMessage = false
      marks.firstMessageTime = Clock.monotonic() &- connection.openedAt
    }
  }

  func lookWhetherStale() {
    guard let connection, connection.phase == .open else { return }
    inbound.moment = Moment(now: host.loop.turnTime, realtime: Clock.realtime())
    let leaves = inbound.lookWhetherStale(readUpTo: connection.readUpTo, isPaused: connection.readingPaused)
    carryOut()
    if !leaves { return }
    connection.leave(
      Failure(.stale, "\(url.redacted): no data within stale_timeout (\(seconds: options.staleTimeout) s)"))
  }

  func keysAreDue() {
    let now = host.loop.turnTime
    inbound.moment = Moment(now: now, realtime: Clock.realtime())
    inbound.keysAreDue(
      readUpTo: connection?.readUpTo ?? now, isConnected: isConnected,
      isPaused: connection?.readingPaused == true || twin?.isPaused == true)
    carryOut()
  }
}

extension WireMessage {
  func arrival(_ receivedAt: Int64) -> Inbound.Arrival {
    Inbound.Arrival(kind: UInt32(kind.rawValue), flags: flags, payload: payload, receivedAt: receivedAt)
  }
}

extension Inbound.Rules {
  convenience init(_ options: ClientOptions) {
    self.init()
    policy = options.receiveQueuePolicy
    limit = options.receiveQueueBytes
    emitsEvents = options.emitsEvents
    resumes = options.resume
    staleTimeout = options.staleTimeout
    staleReconnects = options.staleAction == .reconnect
    staleKeyTimeout = options.staleKeyTimeout
    keyPath = options.keyPath
    sequencePath = options.sequencePath
    sequencePrevious = options.sequencePrevious
    sequenceKey = options.sequenceKey
    isIncreasing = options.sequenceRule == .increasing
    countsConnection = options.sequenceScope == .connection
    rotationOverlap = options.rotationOverlap
    hasTwin = options.twin != nil
  }
}
