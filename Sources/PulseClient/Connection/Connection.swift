// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// One attempt to connect and, if it succeeds, the connection that comes of it: stream, wire, and what is on its way.
///
/// A line has one after another. What belongs to all of them is the line's: attempts, subscriptions, what is sent; the queue
/// of received messages is the client's. The client's `mutex` guards every stored property that is not a constant; the loop's driver enters through the handler
/// functions, which lock.
final class Connection: EventHandler, @unchecked Sendable {
  /// How far the connection is. Every phase but `ended` has a deadline or a heartbeat that ends it.
  enum Phase { case resolving, connecting, proxying, securing, upgrading, open, closing, ended }

  /// What a timer is about.
  enum Timer: Int { case openDeadline, closeDeadline, heartbeat, flush, failure, session, share }

  /// What a post is about.
  enum Post: Int { case flush, resolved, readAgain, resume }

  let client: Client
  /// That it belongs to.
  let line: Line
  /// The line's, and the client's.
  let outbound: Outbound
  let random: SecureRandom
  let endpoint: Int
  /// That of the endpoint; redirects lead from it to `url`.
  let endpointURL: WebSocketURL
  var url: WebSocketURL
  var tlsContext: TLSContext?
  let startedAt: Int64
  /// The slot of the limits that all clients of the process share; given back when the attempt is decided.
  var ticket: ConnectGate.Ticket?

  var phase = Phase.resolving
  /// It may stay for a moment after its end, to say goodbye in order.
  var lingers = true

  // Connecting
  var addresses: Result<[SocketAddress], TransportError>?
  var connector: Connector?
  var proxy: ProxyURL?
  /// The peer of the TCP connection: the server, or the proxy.
  var address: SocketAddress?
  /// Other addresses of its name that may do better.
  var others: [SocketAddress] = []
  /// All addresses of the name that is being tried.
  var known: [SocketAddress] = []
  /// Addresses that this attempt has left.
  var left: Sentence = ""
  /// The proxy's part of the stream, while it is being asked.
  var tunnel: ProxyStream?
  /// The server's addresses, for a proxy that is given addresses; the first is the one it is asked for.
  var targets: [SocketAddress] = []
  /// The name that is being resolved is the server's, though there is a proxy.
  var resolvesTarget = false
  /// There is TLS in the stream, to the server or to the proxy.
  var overTLS = false
  /// From where redirects have led away in this attempt.
  var visited: [WebSocketURL] = []
  var stream: ByteStream?
  /// The layer of `stream` that is TLS with the server.
  var tls: TLSStream?
  var registration: Registration?
  /// The peer has ended its side, or the connection is broken: reading goes on until that shows.
  var inputIsEnding = false
  var upgradeParser: UpgradeResponseParser?
  var acceptance: UpgradeAcceptance?
  /// The application has changed URL or headers since.
  var isOutdated = false
  var wire: WireConnection?
  var openTimer: TimerID?
  /// Ends the time of one address, or that of a refusal's body.
  var shareTimer: TimerID?
  var isReadingBody = false
  var closeTimer: TimerID?
  var heartbeatTimer: TimerID?
  var flushTimer: TimerID?

  // Receiving
  /// The queue of received messages is full.
  var readingPaused = false
  /// Reading has stopped before the end of what has arrived, to go on in the loop's next turn.
  var readsAgain = false
  /// This side leaves while reading pauses: what was read is delivered beyond the limit, as far as that goes.
  var ignoresLimit = false
  /// It has gone far enough: what follows is counted.
  var discardsRest = false
  /// Input that came behind the message that filled the queue.
  var unread = ByteQueue()
  /// A bad frame behind messages that the consumer can still answer; nothing is read any more.
  var pendingFailure: WireFailure?

  // Sending
  /// Frames of data, on their way.
  var output = ByteQueue()
  /// A write of `output` was cut short, perhaps within a frame: nothing may go before the rest of it.
  var outputIsCut = false
  var ledger = FrameLedger()
  /// The originals of compressed messages in `output`, in order: what is not written is kept for the next connection.
  var originals: MessageQueue?
  /// There are frames in `output` of messages that may expire.
  var hasExpiring = false
  /// Ping, pong and close frames: they go before `output` at the next frame boundary.
  var control = ByteQueue()
  var writeIsBlocked = false
  /// Writing has failed; what the peer sent before is read first.
  var brokenWrite: TransportError?
  /// The loop will look whether there is something to write.
  var flushIsComing = false
  var sendsSinceFlush = 0
  var lastWriteAt: Int64 = 0
  var pendingClose: (code: UInt16?, reason: [UInt8])?
  /// What was accepted may leave until then; 0 when that is over.
  var sendsUntil: Int64 = 0
  /// What was written when the close was last looked at.
  var bytesAtLook: UInt64 = 0

  let session: Session
  /// Bounds what the session waits for.
  var sessionTimer: TimerID?
  var sessionDueAt: Int64 = 0
  /// The server has told a successor that it is to end.
  var hasNotice = false
  /// With sequence_scope=connection.
  var sequences: SequenceCheck?

  // Heartbeat
  var openedAt: Int64 = 0
  var lastReceivedAt: Int64 = 0
  var nextHeartbeatAt = Int64.max
  /// Of the last heartbeat; an answer to an earlier one gives no round trip.
  var heartbeatCounter: UInt64 = 0
  var heartbeatSentAt: Int64 = 0
  var heartbeatIsAnswered = true
  var serverHeartbeatAt: Int64 = 0
  /// A peer that was asked late is not judged before.
  var answerUntil: Int64 = 0
  /// A write has found the socket full, and not all is acknowledged yet.
  var isUploading = false
  var acknowledgedBytes: Int64 = 0
  /// When the peer was last seen to have acknowledged more of that; 0 for never.
  var uploadedAt: Int64 = 0
  /// The latest ping that is not answered yet because the peer does not read.
  var owedPong: [UInt8]?

  init(line: Line, endpoint: Int, url: WebSocketURL, tlsContext: TLSContext?) {
    client = line.client
    self.line = line
    outbound = line.outbound
    session = Session(line.sessionRules, line.texts, line.inbound.points)
    random = client.random
    self.endpoint = endpoint
    endpointURL = url
    self.url = url
    self.tlsContext = tlsContext
    startedAt = Clock.monotonic()
  }

  var host: LoopHost { client.host }

  /// Something has arrived that waits for the consumer, or for the loop's next turn.
  var hasUnread: Bool { readingPaused || unread.count > 0 || readsAgain }

  // MARK: Entries of the loop

  override func handle(_ ready: Readiness) {
    client.mutex.lock()
    defer { client.mutex.unlock() }
    if ready.contains(.hangup) && !inputIsEnding { inputWillEnd() }
    switch phase {
    case .proxying:
      continueProxying()
    case .securing:
      continueSecuring()
    case .upgrading, .open, .closing:
      // Each change is told once, so that both directions look; over TLS either may wait for the other's event.
      if writeIsBlocked {
        if isCommittedToExpired { return leaveLate() }
        flush()
      }
      if (!ready.isDisjoint(with: [.readable, .hangup]) || overTLS) && !readsAgain {
        readInput()
        pauseAtEnd()
      }
    case .resolving, .connecting, .ended:
      break
    }
  }

  override func timerFired(_ tag: Int, _ timer: TimerID) {
    client.mutex.lock()
    defer { client.mutex.unlock() }
    switch Timer(rawValue: tag) {
    case .openDeadline: if timer.isTaken(from: &openTimer) { openDeadlinePassed() }
    case .share: if timer.isTaken(from: &shareTimer) { shareIsOver() }
    case .closeDeadline: if timer.isTaken(from: &closeTimer) { closeDeadlinePassed() }
    case .failure: if timer.isTaken(from: &closeTimer) { failPending() }
    case .heartbeat: if timer.isTaken(from: &heartbeatTimer) { heartbeatIsDue() }
    case .flush: if timer.isTaken(from: &flushTimer) { flushForBurst() }
    case .session: if timer.isTaken(from: &sessionTimer) { line.sessionIsDue(on: self) }
    case nil: break
    }
  }

  override func posted(_ tag: Int) {
    client.mutex.lock()
    defer { client.mutex.unlock() }
    switch Post(rawValue: tag) {
    case .flush:
      flushForBurst()
    case .resume:
      if readingPaused && phase != .ended { resumeReading() }
    case .resolved:
      if phase == .resolving { connectToAddresses() }
    case .readAgain:
      if phase == .upgrading || phase == .open || phase == .closing {
        readsAgain = false
        if readingPaused && brokenWrite != nil { return becomeTail() }
        readInput()
        pauseAtEnd()
        if let brokenWrite, stream != nil, !readingPaused, !readsAgain { readingIsOver(Failure(brokenWrite)) }
      }
    case nil:
      break
    }
  }
}

extension TimerID {
  /// False if its owner has cancelled it, or planned it anew, since it was due.
  fileprivate func isTaken(from owner: inout TimerID?) -> Bool {
    guard owner == self else { return false }
    owner = nil
    return true
  }
}
