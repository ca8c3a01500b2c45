// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseTransport
import PulseWire
import Synchronization

/// What a client is doing, as its user sees it; the values are those of the ABI.
package enum ClientState: Int32, Sendable {
  case disconnected = 0
  case connecting = 1
  case connected = 2
  case reconnecting = 3
  case error = 4

  package var name: StaticString {
    switch self {
    case .disconnected: "disconnected"
    case .connecting: "connecting"
    case .connected: "connected"
    case .reconnecting: "reconnecting"
    case .error: "error"
    }
  }
}

/// One WebSocket connection with its queues: composes the wire, the flow and the transport.
///
/// `mutex` guards every stored property that is not a constant. The loop's driver enters through the handler functions
/// of `EventHandler`, callers through the functions of the extensions; both lock.
package final class Client: EventHandler, @unchecked Sendable {
  /// How far the connection is. Every phase but `idle` and `ended` has a deadline or a heartbeat that ends it.
  enum Phase { case idle, resolving, connecting, securing, upgrading, open, closing, ended }

  /// What a timer or a post is about: the first argument of the handler functions.
  enum Signal {
    static let openDeadline = 1
    static let closeDeadline = 2
    static let heartbeat = 3
    static let flush = 4
    static let resolved = 5
    static let readAgain = 6
    static let failure = 7
  }

  package let url: WebSocketURL
  package let options: ClientOptions
  package let host: LoopHost
  let tlsContext: TLSContext?
  let mutex = Mutex()
  let waiter = LoopHost.Waiter()

  // Life
  var phase = Phase.idle
  var state = ClientState.disconnected
  /// Why the connection ended; set once, when `phase` becomes `ended`.
  var failure: Failure?
  /// This side has begun to close; nothing is sent or delivered any more.
  var closeStarted = false
  var blockedCalls = 0
  /// The connection may stay for a moment after the client is done with it, to say goodbye in order.
  var lingers = true
  package let forkGeneration: UInt32

  // Connection
  var addresses: Result<[SocketAddress], TransportError>?
  var connector: Connector?
  var stream: ByteStream?
  var registration: Registration?
  /// The peer has ended its side, or the connection is broken: reading goes on until that shows.
  var inputIsEnding = false
  var upgradeParser: UpgradeResponseParser?
  var acceptance: UpgradeAcceptance?
  var refusal: UpgradeRefusal?
  var wire: WireConnection?
  var openTimer: TimerID?
  var closeTimer: TimerID?
  var heartbeatTimer: TimerID?
  var flushTimer: TimerID?
  let random = SecureRandom()

  // Receiving
  let inbox = MessageQueue()
  var readingPaused = false
  /// Reading has stopped before the end of what has arrived, to go on in the loop's next turn.
  var readsAgain = false
  /// Input that came behind the message that filled the queue.
  var heldInput = ByteQueue()
  /// A bad frame behind messages that the consumer can still answer; nothing is read any more.
  var heldFailure: WireFailure?
  /// So long a bad frame waits for the consumer to answer the messages before it (ns).
  var answerGrace: Int64 = 100_000_000
  var peerCloseCode: UInt16 = 0
  var peerCloseReason = ""
  /// What `pulsews_recv` has taken ahead. The flag is a hint: only who has entered the batch knows.
  let singleBatch = Batch()
  let singleBatchIsFilled = Atomic<Bool>(false)

  // Sending
  /// Frames of data, on their way.
  var output = ByteQueue()
  /// A write of `output` was cut short, perhaps within a frame: nothing may go before the rest of it.
  var outputIsCut = false
  var ledger = FrameLedger()
  /// Ping, pong and close frames: they go before `output` at the next frame boundary.
  var control = ByteQueue()
  /// Messages that wait for `output` to have room.
  let outbox = MessageQueue()
  var writeIsBlocked = false
  /// Writing has failed; what the peer sent before is read first.
  var brokenWrite: TransportError?
  /// The loop will look whether there is something to write.
  var flushIsComing = false
  var sendsSinceFlush = 0
  var lastWriteAt: Int64 = 0
  var sendersWait = false
  /// A full outbox refused a message: its owner is told when there is room again.
  var roomIsAwaited = false
  var pendingClose: (code: UInt16?, reason: [UInt8])?

  // Heartbeat
  var lastReceivedAt: Int64 = 0
  var nextPingAt: Int64 = 0
  var pingCounter: UInt64 = 0
  var pingSentAt: Int64 = 0
  var pingAnswered = true
  var roundTrips = RoundTripTimes()
  /// The latest ping that is not answered yet because the peer does not read.
  var owedPong: [UInt8]?

  // Waking
  var wakeDescriptor: Int32 = -1

  // Statistics
  var statistics = ClientStatistics()
  var openedAt: Int64 = 0

  package init(url: WebSocketURL, options: ClientOptions, host: LoopHost, tlsContext: TLSContext?) {
    self.url = url
    self.options = options
    self.host = host
    self.tlsContext = tlsContext
    forkGeneration = psys_fork_generation()
  }

  deinit {
    if wakeDescriptor >= 0 && forkGeneration == psys_fork_generation() { psys_close(wakeDescriptor) }
  }

  package var isForked: Bool { forkGeneration != psys_fork_generation() }

  // MARK: Entries of the loop

  override package func handle(readable: Bool, writable: Bool, hangup: Bool) {
    mutex.lock()
    defer { mutex.unlock() }
    if hangup { inputIsEnding = true }
    switch phase {
    case .securing:
      continueSecuring()
    case .upgrading, .open, .closing:
      // Each change is told once, so that both directions look; over TLS either may wait for the other's event.
      if writeIsBlocked { flush() }
      if (readable || hangup || tlsContext != nil) && !readsAgain { readInput() }
    case .idle, .resolving, .connecting, .ended:
      break
    }
  }

  override package func timerFired(_ timer: Int) {
    mutex.lock()
    defer { mutex.unlock() }
    switch timer {
    case Signal.openDeadline:
      openTimer = nil
      openDeadlinePassed()
    case Signal.closeDeadline:
      closeTimer = nil
      closeDeadlinePassed()
    case Signal.failure:
      closeTimer = nil
      failHeld()
    case Signal.heartbeat:
      heartbeatTimer = nil
      heartbeatIsDue()
    case Signal.flush:
      flushTimer = nil
      flushForBurst()
    default:
      break
    }
  }

  override package func posted(_ signal: Int) {
    mutex.lock()
    defer { mutex.unlock() }
    switch signal {
    case Signal.flush:
      flushForBurst()
    case Signal.resolved:
      if phase == .resolving { connectToAddresses() }
    case Signal.readAgain:
      if phase == .upgrading || phase == .open || phase == .closing {
        readsAgain = false
        readInput()
        if let brokenWrite, stream != nil, !readingPaused, !readsAgain {
          peerCloseCode = 1006
          end(Failure(brokenWrite))
        }
      }
    default:
      break
    }
  }

  // MARK: Waiting

  /// Blocks until `condition` holds or `deadline` (monotonic ns) has passed. `mutex` is held on entry and on return;
  /// `condition` is looked at with it held.
  func block(until deadline: Int64, _ condition: () -> Bool) -> Bool {
    if condition() { return true }
    blockedCalls += 1
    defer {
      blockedCalls -= 1
      // `finish` waits for the last call to leave.
      if blockedCalls == 0 && phase == .ended { host.notify(waiter) }
    }
    while true {
      let epoch = host.epoch(of: waiter)
      mutex.unlock()
      host.wait(waiter, since: epoch, until: deadline)
      mutex.lock()
      if condition() { return true }
      if deadline != Int64.max && Clock.monotonic() >= deadline { return false }
    }
  }

  /// One turn of the loop, for calls that must not block; they count as calls inside the client all the same, since
  /// `finish` must not end the loop below them. `mutex` is held on entry and on return.
  func driveBriefly() {
    blockedCalls += 1
    mutex.unlock()
    host.driveBriefly()
    mutex.lock()
    blockedCalls -= 1
    if blockedCalls == 0 && phase == .ended { host.notify(waiter) }
  }

  /// Something changed that a blocked call or the owner of the descriptor may be waiting for. `mutex` is held.
  func wake() {
    host.notify(waiter)
    signalDescriptor()
  }

  func signalDescriptor() {
    if wakeDescriptor >= 0 { psys_eventfd_add(wakeDescriptor) }
  }

  /// A descriptor for poll(2), made on the first call; it is readable at once if there is something to look at.
  package func descriptor() -> Int32 {
    mutex.lock()
    defer { mutex.unlock() }
    if wakeDescriptor < 0 {
      wakeDescriptor = psys_eventfd_create()
      if wakeDescriptor < 0 {
        return StatusCode.noFiles.rawValue
      }
      if !inbox.isEmpty || phase == .ended || phase == .open { signalDescriptor() }
    }
    return wakeDescriptor
  }

  package func clearDescriptor() {
    mutex.lock()
    defer { mutex.unlock() }
    if wakeDescriptor >= 0 { psys_eventfd_clear(wakeDescriptor) }
  }

  /// The monotonic time at which a call with this time-out gives up.
  static func deadline(after timeout: Int64) -> Int64 {
    if timeout < 0 { return Int64.max }
    let (sum, overflow) = Clock.monotonic().addingReportingOverflow(timeout)
    return overflow ? Int64.max : sum
  }
}
